"""ShuffleNets: v1 against the released network written out anew, and what shuffling does to the channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baimu.backbones.shufflenet import UnitV1, UnitV2, interleaved, shuffle, shufflenet_v1
from baimu.classification.classifier import Classifier
from baimu.errors import UnknownNameError
from baimu.layers.norm import batch_norm
from baimu.weights.keys import convert_back, load_converted
from baimu.weights.recognise import source_named
from baimu.zoo import create_model
from tests.backbones.test_families import close
from tests.layers.test_norm import noise
from tests.parity.golden import filled

Shuffle = Callable[[Tensor, int], Tensor]


def official_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel ``a * groups + b`` goes to ``b * (channels / groups) + a``."""
    per_group = x.shape[1] // groups
    out = torch.empty_like(x)
    for channel in range(x.shape[1]):
        out[:, channel % groups * per_group + channel // groups] = x[:, channel]
    return out


def usual_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel ``a * (channels / groups) + b`` goes to ``b * groups + a``: torch's, mmpretrain's and the figure's."""
    return F.channel_shuffle(x, groups)


def written_out(state: dict[str, Tensor], images: Tensor, groups: int, mix: Shuffle) -> tuple[list[Tensor], Tensor]:
    """The released network from a state dict of it: its four maps and its logits."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            state[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, padding, groups=x.shape[1] // weight.shape[1])

    x = norm(conv(images, "first_conv.0", 2, 1), "first_conv.1").relu()
    x = F.max_pool2d(x, 3, 2, 1)
    maps = [x]
    for number in range(16):
        main, end = f"features.{number}.branch_main_1", f"features.{number}.branch_main_2"
        stride = 2 if number in (0, 4, 12) else 1
        y = norm(conv(x, f"{main}.0"), f"{main}.1").relu()
        y = norm(conv(y, f"{main}.3", stride, 1), f"{main}.4")
        y = norm(conv(mix(y, groups), f"{end}.0"), f"{end}.1")
        x = torch.cat([F.avg_pool2d(x, 3, 2, 1), y.relu()], 1) if stride == 2 else (x + y).relu()
        if number in (3, 11, 15):
            maps.append(x)
    return maps, x.mean((2, 3)) @ state["classifier.0.weight"].T


def made(name: str) -> tuple[Classifier, dict[str, Tensor]]:
    """Ours, and a state of the released network with numbers made from its names, loaded into ours."""
    model, route = create_model(name, num_classes=11), source_named("megvii").route(name)
    state = {}
    for key, value in convert_back(model.state_dict(), route).items():
        kind = "w" if value.dim() > 1 else "v" if "var" in key else "b" if key.endswith(("bias", "mean")) else "s"
        scale = (1 / value[0].numel()) ** 0.5 if kind == "w" else 1.0
        state[key] = torch.as_tensor(filled(key, list(value.shape), kind, scale)).to(value.dtype)
    load_converted(model, state, route)
    assert isinstance(model, Classifier)
    return model.eval(), state


@pytest.mark.parametrize("name", ["shufflenet_v1_x0_5", "shufflenet_v1_x1_5", "shufflenet_v1_g8_x0_5"])
@torch.no_grad()
def test_v1_is_the_released_network(name: str) -> None:
    model, state = made(name)
    groups = 8 if "g8" in name else 3
    for height, width in ((64, 96), (79, 65)):
        images = noise(2, 3, height, width)
        maps, logits = written_out(state, images, groups, official_shuffle)
        close(model(images), logits, "logits")
        for level, (found, expected) in enumerate(zip(model.backbone(images), maps, strict=True), start=2):
            close(found, expected, f"level {level}")
        other = written_out(state, images, groups, usual_shuffle)[1]
        assert float((other - logits).abs().max()) > 0.01 * float(logits.abs().max()), "the order of channels matters"


@torch.no_grad()
def test_v1_like_openmmlab_has_the_usual_shuffle_and_a_bias() -> None:
    model, state = made("shufflenet_v1_x0_5")
    other = create_model("shufflenet_v1_x0_5", num_classes=11, like="openmmlab").eval()
    missing, surplus = other.load_state_dict(model.state_dict(), strict=False)
    assert (missing, surplus) == (["head.linear.bias"], [])
    assert isinstance(other, Classifier)
    images = noise(2, 3, 64, 64)
    logits = written_out(state, images, 3, usual_shuffle)[1]
    close(other(images), logits + other.get_parameter("head.linear.bias"), "logits")


def test_v1s_gradients_are_the_released_networks() -> None:
    model, state = made("shufflenet_v1_x0_5")
    images = noise(2, 3, 64, 64)
    names = ("first_conv.0.weight", "features.4.branch_main_1.3.weight", "features.12.branch_main_2.0.weight")
    leaves = {key: value.clone().requires_grad_() if key in names else value for key, value in state.items()}
    written_out(leaves, images, 3, official_shuffle)[1].square().mean().backward()
    model(images).square().mean().backward()
    ours = ("stem.conv.weight", "stage3.0.depthwise.conv.weight", "stage4.0.expand.conv.weight")
    for theirs, name in zip(names, ours, strict=True):
        grad, expected = model.backbone.get_parameter(name).grad, leaves[theirs].grad
        assert grad is not None
        assert expected is not None
        close(grad, expected, name, 1e-3)


@pytest.mark.parametrize(("channels", "groups"), [(60, 3), (24, 8), (10, 2), (12, 12), (7, 1)])
def test_the_two_shuffles_undo_each_other(channels: int, groups: int) -> None:
    x = noise(2, channels, 3, 2)
    assert torch.equal(shuffle(x, groups), usual_shuffle(x, groups))
    assert torch.equal(shuffle(x, channels // groups), official_shuffle(x, groups))
    assert torch.equal(shuffle(shuffle(x, groups), channels // groups), x)


def test_every_group_hears_every_other_one() -> None:
    """What a unit's second grouped convolution reads comes from all groups of the first."""
    unit = UnitV1(240, 240, 1, 3, norm=batch_norm, act=torch.nn.ReLU)
    origin = torch.arange(60).div(20, rounding_mode="floor")[None, :, None, None]
    for third in shuffle(origin, unit.groups).flatten().chunk(3):
        assert set(third.tolist()) == {0, 1, 2}


def test_two_halves_interleave_as_a_shuffle_of_two_groups() -> None:
    left, right = noise(2, 5, 3, 4), noise(2, 5, 3, 4, seed=2)
    expected = F.channel_shuffle(torch.cat((left, right), 1), 2)
    assert torch.equal(interleaved(left, right), expected)
    assert torch.equal(shuffle(expected, 5), torch.cat((left, right), 1)), "and comes apart again"


@torch.no_grad()
def test_v2_lets_the_first_half_of_the_channels_pass() -> None:
    unit = UnitV2(12, 12, 1, norm=batch_norm, act=torch.nn.ReLU).eval()
    x = noise(1, 12, 5, 5)
    assert torch.equal(unit(x)[:, ::2], x[:, :6])
    assert torch.equal(unit(x)[:, 1::2], unit.branch2(x[:, 6:]))


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_v1_has_the_papers_channels_and_groups(groups: int) -> None:
    """Table 1; its very first 1x1 convolution is not cut, and what the units do costs about the same."""
    wide = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088), 8: (384, 768, 1536)}
    with torch.device("meta"):
        net = shufflenet_v1(groups)
    assert net.channels == (24, *wide[groups])
    units = [m for m in net.modules() if isinstance(m, UnitV1)]
    assert [unit.compress.conv.groups for unit in units] == [1] + [groups] * 15
    assert {unit.expand.conv.groups for unit in units} == {groups}
    assert [unit.stride for unit in units] == [2, 1, 1, 1, 2, *[1] * 7, 2, 1, 1, 1]


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match=r"groups must be of \(1, 2, 3, 4, 8\)"):
        shufflenet_v1(5)
    with pytest.raises(ValueError, match=r"width of \(0.5, 1.0, 1.5, 2.0\): 3, 0.75"):
        shufflenet_v1(3, 0.75)
    with pytest.raises(UnknownNameError, match="official"):
        create_model("shufflenet_v1_x1_0", like="offical")
