"""The brick of necks and heads: when it has a bias, what it starts as."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.layers.conv import ConvNorm, conv_tower, init_normal
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
