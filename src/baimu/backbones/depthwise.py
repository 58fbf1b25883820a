"""What MobileNets and EfficientNets have in common: a stem and rows of blocks around depthwise convolutions.

Their papers give a table with a line a block, or a row of equal blocks; here it is a table of :class:`Block`. A row is
``blocks.S`` (S from 0), a block in it ``blocks.S.B``. Each stride of 2 begins a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.errors import unknown
from baimu.layers.conv import Act, ConvNorm, init_fan_out
from baimu.layers.drop_path import DropPath
from baimu.layers.norm import Norm, with_numbers
from baimu.layers.squeeze_excite import SqueezeExcite

Dilate = Literal["after", "whole", "first"]
Like = Literal["torchvision", "timm", "tensorflow"]
Squeeze = Callable[[int, int], SqueezeExcite]


class Block(NamedTuple):
    """A line of the table: ``expanded`` channels lie inside the block, ``squeezed`` in its SE layer (0: none)."""

    channels: int
    stride: int = 1
    kernel: int = 3
    expanded: int = 0
    squeezed: int = 0
    act: Act = nn.ReLU


class Row(NamedTuple):
    """``repeats`` equal blocks, of which the first has the stride; each widens its input ``expansion`` times."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int = 3


def rounded(channels: float) -> int:
    """The multiple of 8 next to ``channels``, at least 8 and never more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def scaled(
    rows: Sequence[Row], stem: int, act: Act, *, width: float = 1.0, depth: float = 1.0, squeeze: float = 0.0
) -> list[list[Block]]:
    """``rows`` with ``width`` times the channels and ``depth`` times the blocks, rounded up, after ``stem`` channels.

    ``squeeze`` is the share of a block's *input* channels that its SE layer keeps.
    """
    table, channels = [], stem
    for row in rows:
        blocks = []
        for i in range(math.ceil(depth * row.repeats)):
            inside, squeezed = row.expansion * channels, int(squeeze * channels)
            channels = rounded(width * row.channels)
            blocks.append(Block(channels, 1 if i else row.stride, row.kernel, inside, squeezed, act))
        table.append(blocks)
    return table


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, SE, 1x1 projection without activation, and a shortcut between the thin ends
    where their shapes agree (1801.04381 Fig. 3b, 1905.02244 Fig. 4).

    ``stride`` is the block's own, or 1 where dilation stands for it: that gives no block a shortcut it did not have.
    """

    def __init__(
        self,
        in_channels: int,
        block: Block,
        *,
        norm: Norm,
        stride: int = 1,
        dilation: int = 1,
        drop_path: float = 0.0,
        squeeze: Squeeze = SqueezeExcite,
        like_tensorflow: bool = False,
    ) -> None:
        super().__init__()
        inside, act = block.expanded, block.act
        self.expand = None if inside == in_channels else ConvNorm(in_channels, inside, 1, norm=norm, act=act)
        self.depthwise = ConvNorm(
            inside,
            inside,
            block.kernel,
            stride=stride,
            dilation=dilation,
            groups=inside,
            norm=norm,
            act=act,
            like_tensorflow=like_tensorflow,
        )
        self.squeeze = squeeze(inside, block.squeezed) if block.squeezed else None
        self.project = ConvNorm(inside, block.channels, 1, norm=norm, relu=False)
        shortcut = block.stride == 1 and in_channels == block.channels
        self.drop_path = DropPath(drop_path) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        inside = self.depthwise(x if self.expand is None else self.expand(x))
        inside = inside if self.squeeze is None else self.squeeze(inside)
        if self.drop_path is None:
            return self.project(inside)
        if self.drop_path.rate and self.training:
            return x + self.drop_path(self.project(inside))
        return self.project(inside, add=x)


class DepthwiseStages(Stages):
    """A stem of ``stem`` channels and stride 2, then the blocks of ``table``; the rest as of
    :class:`~baimu.backbones.stages.Stages`.

    ``make(in_channels, block, norm=, stride=, dilation=, drop_path=, like_tensorflow=)`` builds a block. ``drop_path``
    rises from 0 in the first block towards its value. ``small_images``: the stem has stride 1, for images of about 32
    pixels. ``like="tensorflow"`` is for weights from there: SAME padding, and batch norm with eps 0.001 and momentum
    0.01; what ``"timm"`` has of its own, a family tells.

    ``output_stride`` 16 or 8 keeps the map from there on and spreads the later depthwise convolutions instead. Which of
    them, is told by ``dilate``: those ``"after"`` the block that has lost its stride (TensorFlow's and timm's rule),
    the ``"whole"`` level (torchvision's segmenters), or the ``"first"`` of each row alone (mmsegmentation's MobileNet
    v2).
    """

    def __init__(
        self,
        stem: int,
        table: Sequence[Sequence[Block]],
        make: Callable[..., nn.Module] = InvertedResidual,
        *,
        norm: Norm,
        act: Act,
        out: Sequence[int] = (2, 3, 4, 5),
        frozen_stages: int = 0,
        checkpointing: bool = False,
        drop_path: float = 0.0,
        output_stride: int = 32,
        dilate: Dilate = "after",
        small_images: bool = False,
        like: Like = "torchvision",
    ) -> None:
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        if dilate not in get_args(Dilate):
            raise unknown("dilation", dilate, get_args(Dilate))
        if like not in get_args(Like):
            raise unknown("network to be like", like, get_args(Like))
        rows = _levels_of(table)
        channels = {1: stem} | {level: row[-1].channels for level, row in zip(rows, table, strict=True)}
        cells = {level: 2 ** (level - small_images) for level in channels}  # strides, were there no dilation
        strides = {level: min(cells[level], output_stride) for level in channels}
        levels = {level: (channels[level], strides[level]) for level in channels}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        like_tensorflow = like == "tensorflow"
        self.norm = with_numbers(norm, eps=1e-3, momentum=0.01) if like_tensorflow else norm
        options = {"norm": self.norm, "like_tensorflow": like_tensorflow}
        self.stem = ConvNorm(3, stem, 3, stride=strides[1], act=act, **options)
        count, total, width = 0, sum(map(len, table)), stem
        self.rows = [level for level in rows if level in self.levels]
        self.blocks = nn.ModuleList()
        for level, row in zip(self.rows, table, strict=False):
            blocks = []
            for i, block in enumerate(row):
                before = level - 1 if block.stride == 2 else level
                dilation = cells[level] // strides[level]
                if dilate == "after":
                    dilation = cells[before] // strides[before]
                elif dilate == "first" and i:
                    dilation = 1
                stride, rate = strides[level] // strides[before], drop_path * count / total
                blocks.append(make(width, block, stride=stride, dilation=dilation, drop_path=rate, **options))
                width, count = block.channels, count + 1
            self.blocks.append(nn.Sequential(*blocks))
        init_fan_out(self)
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        rows = [row for row, its_level in zip(self.blocks, self.rows, strict=True) if its_level == level]
        return [self.stem, *rows] if level == 1 else rows


def _levels_of(table: Sequence[Sequence[Block]]) -> list[int]:
    """The level of each row."""
    levels, level = [], 1
    for row in table:
        level += row[0].stride == 2
        levels.append(level)
    return levels
