"""ShuffleNets: networks of a few tens of million multiplications, whose channels are split and shuffled.

- *v1*: "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices" (Zhang, Zhou, Lin, Sun
  2017), arXiv 1707.01083. The 1x1 convolutions of a bottleneck, where most of the work is, are cut into groups; a
  shuffle of the channels between them lets every group hear the others.
- *v2*: "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (Ma, Zhang, Zheng, Sun 2018),
  1807.11164. Measured time, not the count of multiplications, is made small: equal widths, no groups, little
  fragmentation, few elementwise passes. Half of the channels go past a unit untouched, and a shuffle mixes the halves.

Dims: B images, C channels, G groups.

Differences from the papers and the references:

==========  ==========================================================================================================
v1 shuffle  the released code reads the channels as (C / G, G) and swaps; mmpretrain, and the paper's figure, as
            (G, C / G). Each undoes the other, so that weights fit one of them only: ``like="openmmlab"`` has the second
v1 order    the shuffle stands after the depthwise convolution, as in the released code; Fig. 2b has it before, which is
            the same network
v1 head     has no bias, as in the released code (``like="openmmlab"``: has one)
v2 halves   are the first and the second half of the channels, as in torchvision and Fig. 3; the released code takes the
            even and the odd ones
recipe      the papers' 300,000 steps of 1024 images are 240 epochs
==========  ==========================================================================================================

Top-1 figures are the released code's at 224 x 224, single crop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.stages import Chain
from baimu.errors import unknown
from baimu.layers.conv import Act, ConvNorm
from baimu.layers.heads import ConvHead, LinearHead
from baimu.layers.norm import Norm, batch_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

REPEATS = (4, 8, 4)
"""Units of the three stages."""
V1_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Of stage 2 by the number of groups (Table 1); each later stage has twice as many."""
V1_STEMS = {0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
"""By width."""

RECIPE = imagenet_90.replace(
    epochs=240,
    batch_size=1024,
    lr=0.5,
    lr_batch_size=1024,
    weight_decay=4e-5,
    norm_decay=False,
    bias_decay=False,
    schedule="linear",
    color_jitter=0.4,
    label_smoothing=0.1,
)
"""Of the released code."""

Like = Literal["official", "openmmlab"]


def shuffle(x: Float[Tensor, "b c h w"], groups: int) -> Float[Tensor, "b c h w"]:
    """Channels read as (G, C / G) and swapped: one of each group in turn. ``shuffle(…, C // G)`` undoes it."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def interleaved(left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
    """``shuffle`` of the two joined, groups = 2, with one copy instead of two."""
    return torch.stack((left, right), 2).flatten(1, 2)


class UnitV1(nn.Module):
    """A bottleneck with grouped 1x1 convolutions (Fig. 2b); with a stride of 2 it joins the pooled input instead of
    adding it (c). A first 1x1 convolution on the few channels of the stem is not cut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        groups: int,
        *,
        norm: Norm,
        act: Act,
        like: Like = "official",
    ) -> None:
        super().__init__()
        inside = out_channels // 4
        self.stride = stride
        self.groups = inside // groups if like == "official" else groups
        outside = out_channels - in_channels if stride == 2 else out_channels
        cut = 1 if in_channels < inside else groups
        self.compress = ConvNorm(in_channels, inside, 1, groups=cut, norm=norm, act=act)
        self.depthwise = ConvNorm(inside, inside, 3, stride=stride, groups=inside, norm=norm, relu=False)
        self.expand = ConvNorm(inside, outside, 1, groups=groups, norm=norm, act=act)

    def forward(self, x: Tensor) -> Tensor:
        inside = shuffle(self.depthwise(self.compress(x)), self.groups)
        if self.stride == 2:
            return torch.cat((F.avg_pool2d(x, 3, 2, 1), self.expand(inside)), 1)
        return self.expand(inside, add=x)


class UnitV2(nn.Module):
    """One half of the channels past three convolutions, and the shuffle (Fig. 3c); with a stride of 2 (d), ``branch1``
    shrinks all of the input in the place of the half that goes past."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: Norm, act: Act) -> None:
        super().__init__()
        half = out_channels // 2
        inside = in_channels if stride == 2 else half
        self.branch1 = None
        if stride == 2:
            self.branch1 = nn.Sequential(
                ConvNorm(in_channels, in_channels, 3, stride=2, groups=in_channels, norm=norm, relu=False),
                ConvNorm(in_channels, half, 1, norm=norm, act=act),
            )
        self.branch2 = nn.Sequential(
            ConvNorm(inside, half, 1, norm=norm, act=act),
            ConvNorm(half, half, 3, stride=stride, groups=half, norm=norm, relu=False),
            ConvNorm(half, half, 1, norm=norm, act=act),
        )

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1) if self.branch1 is None else (self.branch1(x), x)
        return interleaved(left, self.branch2(right))


class ShuffleNet(Chain):
    """Level 1 is the stem, level 2 its pooling, levels 3 to 5 are ``stage2`` to ``stage4`` of ``channels`` channels.

    ``make(in_channels, out_channels, stride)`` builds a unit, ``head(in_channels, num_classes, dropout)`` the
    classifier; the rest as of :class:`~baimu.backbones.stages.Stages`.

    ``small_images``: the stem has stride 1, for images of about 32 pixels.
    """

    def __init__(
        self,
        stem: int,
        channels: Sequence[int],
        make: Callable[..., nn.Module],
        head: Callable[..., nn.Module],
        *,
        norm: Norm,
        act: Act,
        out: Sequence[int] = (2, 3, 4, 5),
        frozen_stages: int = 0,
        checkpointing: bool = False,
        small_images: bool = False,
    ) -> None:
        widths = (stem, stem, *channels)
        levels = {level: (width, 2 ** (level - small_images)) for level, width in enumerate(widths, start=1)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        self.new_head = head
        stages = (
            [make(before, width, 2), *(make(width, width, 1) for _ in range(repeats - 1))]
            for repeats, (before, width) in zip(REPEATS, itertools.pairwise(widths[1:]), strict=True)
        )
        self.add_levels(
            itertools.chain(
                [
                    {"stem": ConvNorm(3, stem, 3, stride=levels[1][1], norm=norm, act=act)},
                    {"pool": nn.MaxPool2d(3, 2, 1)},
                ],
                ({f"stage{number}": nn.Sequential(*units)} for number, units in enumerate(stages, start=2)),
            )
        )
        init_official(self)
        self.freeze()

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        return self.new_head(self.channels[-1], num_classes, dropout)


def init_official(net: nn.Module) -> None:
    """As in the released code: only the stem starts small; what the others begin with, their norms take away."""
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01 if name == "stem.conv" else 1 / layer.weight.shape[1])
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 1e-4)


def shufflenet_v1(
    groups: int = 3,
    width: float = 1.0,
    *,
    norm: Norm = batch_norm,
    act: Act = nn.ReLU,
    like: Like = "official",
    **options: Any,
) -> ShuffleNet:
    """ShuffleNet v1 of 1, 2, 3, 4 or 8 ``groups`` and ``width`` 0.5, 1, 1.5 or 2, options as :class:`ShuffleNet`."""
    if groups not in V1_CHANNELS or width not in V1_STEMS:
        raise ValueError(f"groups must be of {tuple(V1_CHANNELS)} and width of {tuple(V1_STEMS)}: {groups}, {width}")
    if like not in get_args(Like):
        raise unknown("network to be like", like, get_args(Like))
    stem = 16 if (groups, width) == (8, 0.5) else V1_STEMS[width]  # what stage 2 adds to it must fall into 8 groups
    channels = [int(V1_CHANNELS[groups] * width) * 2**i for i in range(3)]
    make = partial(UnitV1, groups=groups, norm=norm, act=act, like=like)
    head = partial(LinearHead, bias=like == "openmmlab")
    return ShuffleNet(stem, channels, make, head, norm=norm, act=act, **options)


def shufflenet_v2(
    channels: Sequence[int], last: int, *, norm: Norm = batch_norm, act: Act = nn.ReLU, **options: Any
) -> ShuffleNet:
    """ShuffleNet v2 with ``channels`` in its stages and ``last`` of the 1x1 convolution at its end (Table 5)."""
    make = partial(UnitV2, norm=norm, act=act)
    head = partial(ConvHead, width=last, norm=norm, act=act)
    return ShuffleNet(24, channels, make, head, norm=norm, act=act, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 57.3})
def shufflenet_v1_x0_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 3 groups and 0.5 times the channels: 0.2 M parameters without a classifier."""
    return shufflenet_v1(3, 0.5, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 67.8})
def shufflenet_v1_x1_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 3 groups and 1.0 times the channels: 0.9 M parameters without a classifier."""
    return shufflenet_v1(3, 1.0, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 71.6})
def shufflenet_v1_x1_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 3 groups and 1.5 times the channels: 2.0 M parameters without a classifier."""
    return shufflenet_v1(3, 1.5, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 74.1})
def shufflenet_v1_x2_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 3 groups and 2.0 times the channels: 3.5 M parameters without a classifier."""
    return shufflenet_v1(3, 2.0, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 58.8})
def shufflenet_v1_g8_x0_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 8 groups and 0.5 times the channels: 0.2 M parameters without a classifier."""
    return shufflenet_v1(8, 0.5, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 68.0})
def shufflenet_v1_g8_x1_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 8 groups and 1.0 times the channels: 0.9 M parameters without a classifier."""
    return shufflenet_v1(8, 1.0, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 71.0})
def shufflenet_v1_g8_x1_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 8 groups and 1.5 times the channels: 2.0 M parameters without a classifier."""
    return shufflenet_v1(8, 1.5, **options)


@backbone(paper="1707.01083", recipe=RECIPE, reported={"top1": 72.9})
def shufflenet_v1_g8_x2_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v1 of 8 groups and 2.0 times the channels: 3.4 M parameters without a classifier."""
    return shufflenet_v1(8, 2.0, **options)


@backbone(paper="1807.11164", recipe=RECIPE, reported={"top1": 61.1})
def shufflenet_v2_x0_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v2 of 0.5 times the channels: 0.1 M parameters without a classifier."""
    return shufflenet_v2((48, 96, 192), 1024, **options)


@backbone(paper="1807.11164", recipe=RECIPE, reported={"top1": 69.4})
def shufflenet_v2_x1_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v2 of 1.0 times the channels: 0.8 M parameters without a classifier."""
    return shufflenet_v2((116, 232, 464), 1024, **options)


@backbone(paper="1807.11164", recipe=RECIPE, reported={"top1": 72.6})
def shufflenet_v2_x1_5(**options: Any) -> ShuffleNet:
    """ShuffleNet v2 of 1.5 times the channels: 1.8 M parameters without a classifier."""
    return shufflenet_v2((176, 352, 704), 1024, **options)


@backbone(paper="1807.11164", recipe=RECIPE, reported={"top1": 75.0})
def shufflenet_v2_x2_0(**options: Any) -> ShuffleNet:
    """ShuffleNet v2 of 2.0 times the channels: 3.3 M parameters without a classifier."""
    return shufflenet_v2((244, 488, 976), 2048, **options)
