"""The pyramid equals torchvision's at odd sizes too, with every kind of extra level."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
import torchvision.ops.feature_pyramid_network as theirs
from torch import Tensor, nn

from baimu.layers.norm import batch_norm
from baimu.necks.fpn import FPN
from baimu.weights.keys import rename
from baimu.weights.torchvision import FPN as TABLE
from tests.layers.test_norm import noise


class Maps:
    """What a neck reads of a backbone."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.channels, self.strides = channels, strides


BACKBONE = Maps((6, 10, 14), (8, 16, 32))


def maps(height: int = 23, width: int = 18) -> list[Tensor]:
    """Three maps whose sizes do not halve evenly."""
    sizes = [(height, width), ((height + 1) // 2, (width + 1) // 2), ((height + 3) // 4, (width + 3) // 4)]
    return [noise(2, c, *size, seed=c) for c, size in zip(BACKBONE.channels, sizes, strict=True)]


CASES = [
    ("pool", 1, theirs.LastLevelMaxPool()),
    ("pool", 0, None),
    ("output", 2, theirs.LastLevelP6P7(8, 8)),
    ("input", 2, theirs.LastLevelP6P7(14, 8)),
]


@pytest.mark.parametrize(("extra_from", "extra", "blocks"), CASES, ids=["pool", "none", "on P5", "on C5"])
def test_it_equals_torchvision(extra_from, extra: int, blocks: nn.Module | None) -> None:
    torch.manual_seed(0)
    peer = theirs.FeaturePyramidNetwork(list(BACKBONE.channels), 8, extra_blocks=blocks)
    ours = FPN(BACKBONE, 8, extra=extra, extra_from=extra_from, relu_before_extra=True)
    for bias in (p for n, p in peer.named_parameters() if n.endswith("bias")):
        nn.init.normal_(bias)
    state = {rename(f"backbone.fpn.{k}", TABLE).removeprefix("neck."): v for k, v in peer.state_dict().items()}
    ours.load_state_dict(state)
    for size in ((23, 18), (16, 16), (5, 40)):
        features = maps(*size)
        found = ours(features)
        expected = peer(OrderedDict(enumerate(features)))
        assert len(found) == len(expected) == len(ours.strides) == len(ours.channels)
        for x, y in zip(found, expected.values(), strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)


def test_it_tells_its_channels_and_strides() -> None:
    neck = FPN(BACKBONE, 8, extra=2, extra_from="output")
    assert neck.channels == (8,) * 5
    assert neck.strides == (8, 16, 32, 64, 128)


def test_relu_stands_between_the_extra_levels_only_where_asked() -> None:
    torch.manual_seed(0)
    plain, rectified = (FPN(BACKBONE, 8, extra=2, extra_from="input", relu_before_extra=r) for r in (False, True))
    rectified.load_state_dict(plain.state_dict())
    a, b = plain(maps()), rectified(maps())
    assert torch.equal(a[3], b[3]), "not before the first"
    assert not torch.equal(a[4], b[4])


def test_norms_replace_biases_everywhere() -> None:
    neck = FPN(BACKBONE, 8, extra=2, extra_from="input", norm=batch_norm)
    convs = [m for m in neck.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 8
    assert all(conv.bias is None for conv in convs)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in neck.modules()) == 8
    assert [x.shape[1] for x in neck(maps())] == [8] * 5


def test_biases_start_at_zero_and_weights_at_xavier() -> None:
    neck = FPN(Maps((64, 64), (8, 16)), 64, extra=2, extra_from="output")
    for conv in (m for m in neck.modules() if isinstance(m, nn.Conv2d)):
        assert conv.bias.abs().max() == 0
        bound = (6 / (2 * 64 * conv.kernel_size[0] ** 2)) ** 0.5
        assert 0.9 * bound < conv.weight.abs().max() <= bound


def test_an_unknown_source_of_extra_levels_and_missing_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="extra_from must be 'pool', 'input' or 'output', got 'P5'"):
        FPN(BACKBONE, 8, extra=1, extra_from="P5")
    with pytest.raises(ValueError, match="zip"):
        FPN(BACKBONE, 8)(maps()[:2])
