"""SqueezeNet beyond what every family shows: bypasses, the ReLU behind its logits, where its levels end."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.squeezenet import Bypass, Fire, squeezenet1_0, squeezenet1_1
from baimu.errors import UnknownNameError
from baimu.layers.norm import batch_norm
from baimu.zoo import create_model
from tests.backbones.test_families import noise


def test_levels_end_before_the_poolings_of_each_version() -> None:
    """Fires 4, 8, 9 in 1.0 (Table 1), 3, 5, 9 in 1.1, whose maps keep fewer channels at the fine levels."""
    with torch.device("meta"):
        first, second = squeezenet1_0(out=(1, 2, 3, 4)), squeezenet1_1(out=(1, 2, 3, 4))
        maps = first(torch.empty(1, 3, 224, 224))
    assert first.channels == (96, 256, 512, 512)
    assert second.channels == (64, 128, 256, 512)
    assert first.strides == second.strides == (2, 4, 8, 16)
    assert [m.shape[2] for m in maps] == [109, 54, 27, 13]
    assert {name for name, _ in first.named_children()} >= {"pool1", "pool4", "pool8"}
    assert {name for name, _ in second.named_children()} >= {"pool1", "pool3", "pool5"}


def plain_fire(fire: Fire, x: Tensor) -> Tensor:
    """From the text of §3.1: the 1x1 answers come first, then the 3x3."""
    conv = {name: m for name, m in fire.named_modules() if isinstance(m, nn.Conv2d)}
    squeezed = F.relu(F.conv2d(x, conv["squeeze.conv"].weight, conv["squeeze.conv"].bias))
    left = F.conv2d(squeezed, conv["expand1x1.conv"].weight, conv["expand1x1.conv"].bias)
    right = F.conv2d(squeezed, conv["expand3x3.conv"].weight, conv["expand3x3.conv"].bias, padding=1)
    return F.relu(torch.cat([left, right], 1))


@pytest.mark.parametrize(("bypass", "around", "convolved"), [
    ("none", set(), set()),
    ("simple", {3, 5, 7, 9}, set()),
    ("complex", {2, 3, 4, 5, 6, 7, 8, 9}, {2, 4, 6, 8}),
])  # fmt: skip
def test_bypasses_stand_where_figure_2_has_them(bypass: Bypass, around: set[int], convolved: set[int]) -> None:
    torch.manual_seed(0)
    network = squeezenet1_0(bypass=bypass, out=(4,)).eval()
    fires = {number: network.get_submodule(f"fire{number}") for number in range(2, 10)}
    assert {number for number, fire in fires.items() if fire.bypass is not None} == around
    assert {number for number, fire in fires.items() if isinstance(fire.bypass, nn.Conv2d)} == convolved
    with torch.no_grad():
        for fire in fires.values():
            assert isinstance(fire, Fire)
            x = torch.randn(1, fire.squeeze.conv.in_channels, 3, 4)
            added = fire.bypass(x) if isinstance(fire.bypass, nn.Module) else torch.zeros(())
            torch.testing.assert_close(fire(x), plain_fire(fire, x) + added)


def test_an_unknown_bypass_is_told() -> None:
    with pytest.raises(UnknownNameError, match="simple"):
        squeezenet1_0(bypass="simpel")


def test_logits_stay_above_zero_unless_told_otherwise() -> None:
    torch.manual_seed(0)
    images = noise(4, 48, 48)
    with torch.no_grad():
        assert create_model("squeezenet1_1", num_classes=5).eval()(images).min() >= 0
        free = create_model("squeezenet1_1", num_classes=5, last_act=None, multi_label=True).eval()
        assert free(images).min() < 0, "classes that are absent can be denied"


def test_norms_follow_every_convolution_but_the_last() -> None:
    with torch.device("meta"):
        model = create_model("squeezenet1_0", norm=batch_norm)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) - 1 == sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == 25
    assert [conv.bias is not None for conv in convs] == [False] * 25 + [True]
