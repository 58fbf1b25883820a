"""The brick of networks, necks and heads: when it has a bias, how it pads, what it starts as."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from baimu.layers.conv import ConvNorm, conv_tower, init_fan_out, init_normal
from baimu.layers.norm import group_norm


@pytest.mark.parametrize(
    ("norm", "bias", "expected"), [(None, None, True), (group_norm, None, False), (group_norm, True, True)]
)
def test_a_norm_replaces_the_bias_unless_asked_otherwise(norm, bias, expected: bool) -> None:
    layer = ConvNorm(4, 32, norm=norm, bias=bias)
    assert (layer.conv.bias is not None) == expected
    assert isinstance(layer.norm, nn.Identity) == (norm is None)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(1, 1, (7, 9)), (3, 1, (7, 9)), (3, 2, (4, 5)), (5, 1, (7, 9))])
def test_padding_keeps_the_size(kernel: int, stride: int, size: tuple[int, int]) -> None:
    x = torch.randn(1, 4, 7, 9)
    out = ConvNorm(4, 8, kernel, stride=stride)(x)
    assert out.shape == (1, 8, *size)
    assert out.min() >= 0
    assert ConvNorm(4, 8, kernel, stride=stride, relu=False)(x).min() < 0


def test_a_tower_starts_small_and_unbiased() -> None:
    tower = conv_tower(64, 3)
    assert len(tower) == 3
    for layer in tower:
        assert layer.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert layer.conv.bias.abs().max() == 0


def test_init_reaches_every_convolution_and_linear_layer() -> None:
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Sequential(nn.Linear(64, 64)), nn.BatchNorm2d(64))
    init_normal(net, std=0.5, bias=-2.0)
    assert net[0].weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert net[1][0].weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert {net[0].bias.unique().item(), net[1][0].bias.unique().item()} == {-2.0}
    assert torch.equal(net[2].weight, torch.ones(64))


@given(side=st.integers(1, 40), kernel=st.sampled_from([3, 5]), stride=st.sampled_from([1, 2]))
def test_padding_like_tensorflow_is_its_rule(side: int, kernel: int, stride: int) -> None:
    """ceil(side / stride) windows; what they need beyond the map is halved, the greater half behind."""
    torch.manual_seed(0)
    layer = ConvNorm(2, 3, kernel, stride=stride, relu=False, like_tensorflow=True)
    x = torch.randn(1, 2, side, side)
    count = -(-side // stride)
    needed = max((count - 1) * stride + kernel - side, 0)
    padded = torch.zeros(1, 2, side + needed, side + needed)
    start = needed // 2
    padded[:, :, start : start + side, start : start + side] = x
    expected = F.conv2d(padded, layer.conv.weight, layer.conv.bias, stride)
    assert expected.shape[2:] == (count, count)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("act", [None, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Mish])
def test_the_activation_comes_after_the_sum(act: type[nn.Module] | None) -> None:
    torch.manual_seed(0)
    layer = ConvNorm(4, 8, 3, norm=group_norm_of_two, act=act, groups=2, dilation=2)
    x, other = torch.randn(2, 4, 7, 9), torch.randn(2, 8, 7, 9)
    plain = layer.norm(F.conv2d(x, layer.conv.weight, None, 1, 2, 2, 2)) + other
    kept = other.clone()
    torch.testing.assert_close(layer(x, add=other), plain.relu() if act is None else act()(plain))
    assert torch.equal(other, kept), "the summand is not written to"


def group_norm_of_two(channels: int) -> nn.Module:
    return nn.GroupNorm(2, channels)


def test_he_initialisation_knows_groups() -> None:
    net = nn.Sequential(nn.Conv2d(64, 128, 3), nn.Conv2d(256, 256, 5, groups=256))
    init_fan_out(net)
    assert net[0].weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.05)
    assert net[1].weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.05)
    assert all(layer.bias.abs().max() == 0 for layer in net)
