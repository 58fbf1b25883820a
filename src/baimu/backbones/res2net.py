"""Res2Net: A New Multi-scale Backbone Architecture (Gao, Cheng, Zhao, Zhang, Yang, Torr 2019), arXiv 1904.01169.

The 3x3 of a bottleneck becomes a small hierarchy: its channels are split into ``scale`` parts, of which each but the
last has a 3x3 of its own and also sees what the part before came to (Eq. 1). So a single block has receptive fields of
several sizes, at the cost of one convolution. *Res2NeXt* gives each of these 3x3 ``groups``.

Differences from the paper, all of them the authors' code and needed for its weights: the block that begins a stage has
no hierarchy (its parts have another size or sense than what came before them), and its last part, which has no
convolution, is averaged over 3x3 cells with the block's stride, zeros around the map included. In the paper's order the
first part would be the one without a convolution; here the last is, as in the code. "v1d" (the code's "v1b") has
ResNet-D's stem and shortcuts.

Published top-1 is that of the authors' weights as timm measured them (one crop of 224); the paper has 77.99 for 26w 4s.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baimu.backbones.resnet import Block, Conv, ResNet
from baimu.layers.conv import Act
from baimu.layers.norm import Norm, conv_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

recipe = imagenet_90.replace(epochs=100, milestones=(0.3, 0.6, 0.9))
"""§4.1: ResNet's, with a tenth of the rate after every 30 of 100 epochs."""


class Bottle2neck(Block):
    """1x1 down, a hierarchy of 3x3 on ``scale`` parts of the channels, 1x1 up around the shortcut (Fig. 2b).

    Each part has ``base_width`` channels for each 64 of its stage, times ``groups``; ``end`` is of
    :meth:`~baimu.backbones.resnet.Block.finish`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        *,
        act: Act = nn.ReLU,
        conv: Conv = nn.Conv2d,
        dilation: int = 1,
        entry_dilation: int = 1,
        groups: int = 1,
        base_width: int = 26,
        scale: int = 4,
        **end: Any,
    ) -> None:
        super().__init__()
        if scale < 2:
            raise ValueError(f"a hierarchy needs a scale of at least 2 parts, got {scale}: that is a ResNet")
        del dilation  # all its 3x3 see the map as it comes in
        self.scale = scale
        inner = width * base_width // 64 * groups
        place = {"stride": stride, "padding": entry_dilation, "dilation": entry_dilation}
        self.conv1 = nn.Conv2d(in_channels, inner * scale, 1, bias=False)
        self.bn1 = norm(inner * scale)
        self.act1 = act()
        self.convs = nn.ModuleList(conv(inner, inner, 3, **place, groups=groups, bias=False) for _ in range(scale - 1))
        self.bns = nn.ModuleList(norm(inner) for _ in range(scale - 1))
        self.acts = nn.ModuleList(act() for _ in range(scale - 1))
        begins = stride > 1 or in_channels != width * self.expansion
        self.pool = nn.AvgPool2d(3, stride, 1) if begins else None
        self.conv3 = nn.Conv2d(inner * scale, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.finish(in_channels, width, stride, self.bn3, norm, act, **end)

    def forward(self, x: Tensor) -> Tensor:
        parts = conv_norm(self.conv1, self.bn1, x, act=self.act1).chunk(self.scale, 1)
        found: list[Tensor] = []
        for conv, norm, act, part in zip(self.convs, self.bns, self.acts, parts, strict=False):
            seen = part if self.pool is not None or not found else part + found[-1]
            found.append(conv_norm(conv, norm, seen, act=act))
        found.append(parts[-1] if self.pool is None else self.pool(parts[-1]))
        return self.join(self.conv3, self.bn3, torch.cat(found, 1), x)


def _res2net(depths: tuple[int, int, int, int], base_width: int, scale: int, **options) -> ResNet:
    return ResNet(Bottle2neck, depths, base_width=base_width, scale=scale, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 77.95})
def res2net50_26w_4s(**options) -> ResNet:
    """Res2Net-50 of 4 parts of 26 channels: 23.7 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 26, 4, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 77.51})
def res2net50_48w_2s(**options) -> ResNet:
    """Res2Net-50 of 2 parts of 48 channels: 23.2 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 48, 2, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 78.16})
def res2net50_14w_8s(**options) -> ResNet:
    """Res2Net-50 of 8 parts of 14 channels: 23.0 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 14, 8, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 78.57})
def res2net50_26w_6s(**options) -> ResNet:
    """Res2Net-50 of 6 parts of 26 channels: 35.0 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 26, 6, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 78.94})
def res2net50_26w_8s(**options) -> ResNet:
    """Res2Net-50 of 8 parts of 26 channels: 46.4 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 26, 8, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 79.20})
def res2net101_26w_4s(**options) -> ResNet:
    """Res2Net-101 of 4 parts of 26 channels: 43.2 M parameters without a classifier."""
    return _res2net((3, 4, 23, 3), 26, 4, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 78.24})
def res2next50(**options) -> ResNet:
    """Res2NeXt-50 of 4 parts of 8 paths of 4 channels: 22.6 M parameters without a classifier."""
    return _res2net((3, 4, 6, 3), 4, 4, groups=8, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 80.25})
def res2net50_v1d_26w_4s(**options) -> ResNet:
    """Res2Net-50 with ResNet-D's stem and shortcuts: 23.7 M parameters without a classifier."""
    return res2net50_26w_4s(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1904.01169", recipe=recipe, reported={"top1": 81.22})
def res2net101_v1d_26w_4s(**options) -> ResNet:
    """Res2Net-101 with ResNet-D's stem and shortcuts: 43.2 M parameters without a classifier."""
    return res2net101_26w_4s(stem=(32, 32, 64), avg_down=True, **options)
