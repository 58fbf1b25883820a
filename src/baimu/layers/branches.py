"""Branches side by side on one map: what Inception modules are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baimu.layers.conv import Act, ConvNorm
from baimu.layers.norm import Norm

Step = tuple[int, int | tuple[int, int]] | tuple[int, int, int, int]
"""(channels, kernel) with stride 1 and "same" padding, or (channels, kernel, stride, padding)."""
Convs = Callable[..., nn.Module]
"""``chain(in_channels, *steps)``: :func:`conv_chain` of a network's norm and activation."""


class Branches(nn.Module):
    """What the branches say of the same map, joined along the channels in their order."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


def conv_chain(in_channels: int, *steps: Step, norm: Norm, act: Act | None = None) -> nn.Module:
    """Convolutions with norm and activation, one after the other; one step alone is the convolution itself."""
    layers = []
    for channels, kernel, *place in steps:
        stride, padding = place or (1, None)
        layers.append(ConvNorm(in_channels, channels, kernel, stride=stride, padding=padding, norm=norm, act=act))
        in_channels = channels
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def split(chain: Convs, in_channels: int, channels: int) -> Branches:
    """A 3x3 convolution as 1x3 and 3x1 side by side, for maps of few cells and many channels (1512.00567 Fig. 7)."""
    return Branches(a=chain(in_channels, (channels, (1, 3))), b=chain(in_channels, (channels, (3, 1))))
