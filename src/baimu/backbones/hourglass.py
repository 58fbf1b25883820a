"""Stacked Hourglass Networks for Human Pose Estimation (Newell, Yang, Deng 2016), arXiv 1603.06937, in the form of
CornerNet (Law, Deng 2018), arXiv 1808.01244.

An hourglass goes down to a small map and up again; at every size a branch of its own keeps what the way down loses and
is added on the way up. A second one reads the first one's input and output, and corrects it; the maps of both are
supervised, and the last one is used. Detectors of corners and centres learn it from scratch, without a classifier:
PyTorch's own start of the convolutions is part of that recipe (with others, says mmdetection, it does not converge).

Dims: B images. All maps have 256 channels and stride 4.

``out`` counts hourglasses here, not strides: ``out=(1, 2)``, the default, gives both maps of Hourglass-104, ``(2,)``
the last, and ``frozen_stages=1`` freezes the stem and the first hourglass.

Differences from the pose network: an entry of stride 4, strides in place of pooling, basic blocks, channels that grow
on the way down, one output convolution in place of 1x1 towers. Differences from CornerNet's code: none; a map is
enlarged to the size of the one that it is added to, as in mmdetection, so that images of any size pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Stages, computed_again
from baimu.layers.activations import activation
from baimu.layers.conv import Act, ConvNorm
from baimu.layers.norm import Norm, batch_norm
from baimu.layers.residual import BasicBlock

Block = Callable[..., BasicBlock]
""":class:`~baimu.layers.residual.BasicBlock` of a network's norm and activation."""


def _blocks(in_channels: int, out_channels: int, count: int, block: Block, *, stride: int = 1) -> nn.Sequential:
    """Residual blocks of which the first has the stride and changes the channels."""
    return nn.Sequential(
        block(in_channels, out_channels, stride=stride), *(block(out_channels, out_channels) for _ in range(count - 1))
    )


class Hourglass(nn.Module):
    """One size of an hourglass, with all smaller ones inside it; ``channels`` and ``blocks`` are of this size, then of
    the smaller ones."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int], block: Block) -> None:
        super().__init__()
        own, smaller, count = channels[0], channels[1], blocks[0]
        self.up1 = _blocks(own, own, count, block)
        self.low1 = _blocks(own, smaller, count, block, stride=2)
        if len(channels) > 2:
            self.low2 = Hourglass(channels[1:], blocks[1:], block)
        else:
            self.low2 = _blocks(smaller, smaller, blocks[1], block)
        self.low3 = nn.Sequential(  # the last block changes the channels
            *(block(smaller, smaller) for _ in range(count - 1)), block(smaller, own)
        )

    def forward(self, x: Tensor) -> Tensor:
        kept = self.up1(x)
        return kept + F.interpolate(self.low3(self.low2(self.low1(x))), size=kept.shape[-2:], mode="nearest")


class HourglassNet(Stages):
    """The map of each hourglass of ``out``, first to last; ``frozen_stages`` and ``checkpointing`` as of
    :class:`~baimu.backbones.stages.Stages`, counted in hourglasses.

    ``stacks`` is their number. ``channels`` and ``blocks`` are of the sizes of one, from stride 4 down.
    """

    def __init__(
        self,
        stacks: int,
        *,
        out: Sequence[int] | None = None,
        norm: Norm = batch_norm,
        act: str | Act = "relu",
        frozen_stages: int = 0,
        checkpointing: bool = False,
        channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
    ) -> None:
        if len(channels) != len(blocks) or len(channels) < 2:
            raise ValueError(f"an hourglass needs channels and blocks of at least two sizes, got {channels}, {blocks}")
        levels = dict.fromkeys(range(1, stacks + 1), (channels[0], 4))
        out = tuple(levels) if out is None else out
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        width, count = channels[0], self.levels[-1]
        made = activation(act, inplace=True)
        block = partial(BasicBlock, norm=norm, act=made)
        self.stem = nn.Sequential(
            ConvNorm(3, width // 2, 7, stride=2, norm=norm, act=made), _blocks(width // 2, width, 1, block, stride=2)
        )
        self.hourglass_modules = nn.ModuleList(Hourglass(channels, blocks, block) for _ in range(count))
        self.out_convs = nn.ModuleList(ConvNorm(width, width, norm=norm, act=made) for _ in range(count))
        between = range(count - 1)
        self.conv1x1s = nn.ModuleList(ConvNorm(width, width, 1, norm=norm, relu=False) for _ in between)
        self.remap_convs = nn.ModuleList(ConvNorm(width, width, 1, norm=norm, relu=False) for _ in between)
        self.acts = nn.ModuleList(made() for _ in between)
        self.inters = nn.ModuleList(block(width, width) for _ in between)
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        i = level - 1
        between = (self.conv1x1s, self.remap_convs, self.acts, self.inters)
        before = [self.stem] if i == 0 else [part[i - 1] for part in between]
        return [*before, self.hourglass_modules[i], self.out_convs[i]]

    def advance(self, stack: int, maps: list[Tensor]) -> list[Tensor]:
        """An hourglass' input and map from those of the one before; the first's from [images]."""
        *before, hourglass, out_conv = self.parts(stack)
        if stack == 1:
            x = self.stem(maps[0])
        else:
            own, remap, act, inter = before
            x = inter(act(own(maps[0]) + remap(maps[1])))
        return [x, out_conv(hourglass(x))]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → the maps of ``out``, (B, 256, ⌈H/4⌉, ⌈W/4⌉) each."""
        maps, found = [images], []
        for stack in self.levels:
            run = partial(self.advance, stack)
            maps = computed_again(run, self.parts(stack), maps) if self.forgets else run(maps)
            if stack in self.out:
                found.append(maps[1])
        return found


def hourglass52(**options) -> HourglassNet:
    """Hourglass-52, one hourglass: 93.7 M parameters."""
    return HourglassNet(1, **options)


def hourglass104(**options) -> HourglassNet:
    """Hourglass-104, two hourglasses: 187.7 M parameters."""
    return HourglassNet(2, **options)
