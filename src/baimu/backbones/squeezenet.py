"""SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size (Iandola, Han, Moskewicz, Ashraf,
Dally, Keutzer 2016), arXiv 1602.07360.

A fire module squeezes its map to few channels by 1x1 convolutions, so that the 3x3 kernels after it are cheap, and
expands it again by 1x1 and 3x3 side by side; the classifier is a 1x1 convolution. Version 1.1, the authors' later one,
has a smaller stem and pools earlier: as accurate, 2.4 times less work. Dims: B images, C channels, K classes.

| | here | paper |
|---|---|---|
| ``norm`` | none, or after every convolution but the last | none |
| ``bypass`` | "none", "simple", "complex" | the same (§6, Fig. 2), of 1.0 |

ReLU stands after the last convolution too: no logit is below zero. That suits classes that exclude one another, but
with ``multi_label`` no class could be denied; give ``last_act=None`` there.

Published top-1: of torchvision's weights, in percent; the paper's 1.0: 57.5.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Chain
from baimu.errors import unknown
from baimu.layers.conv import Act, ConvNorm, init_normal
from baimu.layers.norm import Norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

Bypass = Literal["none", "simple", "complex"]

PAPER = imagenet_90.replace(epochs=68, batch_size=512, lr=0.04, lr_batch_size=512, weight_decay=2e-4, schedule="linear")
"""SGD 0.04 for 512 images, to 0 in a line (the authors' solver)."""

FIRES = dict(enumerate([(n, 4 * n) for n in (16, 16, 32, 32, 48, 48, 64, 64)], start=2))
"""Fire 2…9: channels of the squeeze, and of each of the two expands (Table 1)."""


class Fire(nn.Module):
    """1x1 to ``squeeze`` channels, then 1x1 and 3x3 side by side, each to ``expand`` (Fig. 1).

    A ``bypass`` adds the input to the result where the channels are the same; a complex one, by a 1x1 convolution,
    where they differ too (Fig. 2).
    """

    def __init__(
        self, in_channels: int, squeeze: int, expand: int, *, norm: Norm | None, act: Act | None, bypass: Bypass
    ) -> None:
        super().__init__()
        self.squeeze = ConvNorm(in_channels, squeeze, 1, norm=norm, act=act)
        self.expand1x1 = ConvNorm(squeeze, expand, 1, norm=norm, act=act)
        self.expand3x3 = ConvNorm(squeeze, expand, 3, norm=norm, act=act)
        self.bypass = None
        if bypass != "none" and in_channels == 2 * expand:
            self.bypass = nn.Identity()
        elif bypass == "complex":
            self.bypass = nn.Conv2d(in_channels, 2 * expand, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        out = torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1)
        return out if self.bypass is None else out + self.bypass(x)


class SqueezeNet(Chain):
    """The map of level n is the last one of stride 2^n, before the next pool.

    ``stem`` is (channels, kernel) of the first convolution; ``ends`` are the last fires (2…9) of levels 2 to 4: 4, 8, 9
    in 1.0 and 3, 5, 9 in 1.1. ``out``, ``frozen_stages`` and ``checkpointing`` as of
    :class:`~baimu.backbones.stages.Stages`; ``norm`` and ``act`` follow every convolution but the classifier's, which
    ``last_act`` follows. ``small_images``: the first convolution pads and keeps the map, and no pool follows it, so
    that all strides are a quarter.
    """

    dropout = 0.5

    def __init__(
        self,
        stem: tuple[int, int],
        ends: tuple[int, int, int],
        *,
        out: Sequence[int] = (2, 3, 4),
        norm: Norm | None = None,
        act: Act | None = None,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        bypass: Bypass = "none",
        last_act: Act | None = nn.ReLU,
        small_images: bool = False,
    ) -> None:
        if bypass not in get_args(Bypass):
            raise unknown("bypass", bypass, get_args(Bypass))
        channels = [stem[0], *(2 * FIRES[last][1] for last in ends)]
        scale = 4 if small_images else 1
        levels = {level: (count, max(1, 2**level // scale)) for level, count in enumerate(channels, start=1)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        self.last_act = last_act
        fire = partial(Fire, norm=norm, act=act, bypass=bypass)
        self.add_levels(_plan(stem, ends, partial(ConvNorm, norm=norm, act=act), fire, small_images))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.freeze()

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        return SqueezeHead(self.channels[-1], num_classes, dropout, self.last_act)


def _plan(
    stem: tuple[int, int],
    ends: Sequence[int],
    conv: Callable[..., nn.Module],
    fire: Callable[..., nn.Module],
    small_images: bool,
) -> Iterator[Mapping[str, nn.Module]]:
    channels, kernel = stem
    stride, padding = (1, kernel // 2) if small_images else (2, 0)
    yield {"conv1": conv(3, channels, kernel, stride=stride, padding=padding)}
    for first, last in itertools.pairwise((1, *ends)):
        halves = first > 1 or not small_images
        parts: dict[str, nn.Module] = {f"pool{first}": nn.MaxPool2d(3, 2, ceil_mode=True) if halves else nn.Identity()}
        for number in range(first + 1, last + 1):
            parts[f"fire{number}"] = fire(channels, *FIRES[number])
            channels = 2 * FIRES[number][1]
        yield parts


class SqueezeHead(nn.Module):
    """Dropout, a 1x1 convolution to the classes, an activation, the mean: maps → logits (B, K)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float, act: Act | None) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv = ConvNorm(in_channels, num_classes, 1, relu=False, act=act)
        init_normal(self.conv)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.conv(F.dropout(maps[-1], self.dropout, self.training)).mean((2, 3))


@backbone(paper="1602.07360", recipe=PAPER, reported={"top1": 58.09})
def squeezenet1_0(**options) -> SqueezeNet:
    """SqueezeNet 1.0: 0.7 M parameters without a classifier."""
    return SqueezeNet((96, 7), (4, 8, 9), **options)


@backbone(paper="1602.07360", recipe=PAPER, reported={"top1": 58.18})
def squeezenet1_1(**options) -> SqueezeNet:
    """SqueezeNet 1.1, of 2.4 times less work: 0.7 M parameters without a classifier."""
    return SqueezeNet((64, 3), (3, 5, 9), **options)
