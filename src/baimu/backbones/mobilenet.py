"""MobileNets: networks for telephones, whose 3x3 convolutions are depthwise.

- *v1*: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (Howard, Zhu, Chen,
  Kalenichenko, Wang, Weyand, Andreetto, Adam 2017), arXiv 1704.04861. A convolution is cut into a depthwise one, which
  sees neighbours of one channel, and a 1x1 one, which sees the channels of one cell: an eighth of the work.
- *v2*: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler, Howard, Zhu, Zhmoginov, Chen 2018),
  1801.04381. The depthwise convolution stands between an expansion and a projection; the shortcut joins the thin ends,
  and no activation follows there, because in few channels it would destroy what they hold.
- *v3*: "Searching for MobileNetV3" (Howard, Sandler, Chu and others 2019), 1905.02244. The blocks of v2 with kernels,
  widths, SE layers (1709.01507) and hard-swish found by search, and a last layer that works after the pooling.

Differences from the papers and the references:

=================  ===================================================================================================
batch norm         v1 and v2: eps 1e-5 and momentum 0.1 as torchvision and timm; v3: 1e-3 and 0.01 as torchvision and
                   TensorFlow, ``like="timm"``: 1e-5 and 0.1
padding            even; ``like="tensorflow"`` has SAME, and batch norm with 1e-3 and 0.01, for weights from there
ReLU6              in v1 too, as in its released code; the paper says ReLU
width multiplier   scales all but v2's last 1x1 (below 1), v3's hidden layer and v3's stem (below 0.75). v3 expands the
                   *rounded* input by the ratio of the full network, as TensorFlow and timm do (torchvision scales the
                   expanded channels, and publishes no weights of it)
v3's level 5       is after its last 1x1 convolution (960 or 576 channels), which segmenters read
recipe             torchvision's: SGD for v1 and v2 (the papers: RMSProp), RMSProp for v3; the rate falls as a cosine
                   instead of by 2 % an epoch, and TrivialAugment stands for AutoAugment
=================  ===================================================================================================

Top-1 figures are the papers'; 224 x 224, single crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.depthwise import Block, DepthwiseStages, Dilate, InvertedResidual, Like, Row, rounded, scaled
from baimu.layers.conv import Act, ConvNorm
from baimu.layers.heads import ConvHead
from baimu.layers.norm import Norm, batch_norm, with_numbers
from baimu.layers.squeeze_excite import SqueezeExcite
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

RECIPE = imagenet_90.replace(epochs=300, lr=0.045, lr_batch_size=256, weight_decay=4e-5, schedule="cosine")
RECIPE_V3 = imagenet_90.replace(
    epochs=600,
    optimizer="rmsprop_tf",
    lr=0.064,
    lr_batch_size=1024,
    momentum=0.9,
    square_momentum=0.9,
    optimizer_eps=1e-3,
    weight_decay=1e-5,
    schedule="cosine",
    auto_augment="trivial",
    random_erasing=0.2,
    ema_decay=0.9999,
)

V1 = (
    Row(1, 64, 1, 1),
    Row(1, 128, 2, 2),
    Row(1, 256, 2, 2),
    Row(1, 512, 6, 2),
    Row(1, 1024, 2, 2),
)
"""Table 1, equal channels together."""

V2 = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)
"""Table 2."""


class SeparableConv(nn.Module):
    """Depthwise 3x3 and 1x1 convolution, an activation after each (1704.04861 Fig. 3)."""

    def __init__(
        self,
        in_channels: int,
        block: Block,
        *,
        norm: Norm,
        stride: int = 1,
        dilation: int = 1,
        drop_path: float = 0.0,
        like_tensorflow: bool = False,
    ) -> None:
        super().__init__()
        if drop_path:
            raise ValueError("MobileNet v1 has no shortcuts, so that no path may be dropped")
        self.depthwise = ConvNorm(
            in_channels,
            in_channels,
            block.kernel,
            stride=stride,
            dilation=dilation,
            groups=in_channels,
            norm=norm,
            act=block.act,
            like_tensorflow=like_tensorflow,
        )
        self.pointwise = ConvNorm(in_channels, block.channels, 1, norm=norm, act=block.act)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class MobileNetV1(DepthwiseStages):
    """Levels 1…5 of 64, 128, 256, 512 and 1024 channels, all times ``width``; ``options`` are those of
    :class:`~baimu.backbones.depthwise.DepthwiseStages`."""

    def __init__(self, width: float = 1.0, *, norm: Norm = batch_norm, act: Act = nn.ReLU6, **options: Any) -> None:
        stem = rounded(32 * width)
        super().__init__(stem, scaled(V1, stem, act, width=width), SeparableConv, norm=norm, act=act, **options)


class MobileNetV2(DepthwiseStages):
    """Levels 1…5 of 16, 24, 32, 96 and 320 channels, all times ``width``; ``options`` are those of
    :class:`~baimu.backbones.depthwise.DepthwiseStages`."""

    dropout = 0.2

    def __init__(self, width: float = 1.0, *, norm: Norm = batch_norm, act: Act = nn.ReLU6, **options: Any) -> None:
        stem = rounded(32 * width)
        super().__init__(stem, scaled(V2, stem, act, width=width), norm=norm, act=act, **options)
        self.last, self.act = max(1280, rounded(1280 * width)), act

    def make_head(self, num_classes: int, dropout: float) -> ConvHead:
        return ConvHead(self.channels[-1], num_classes, dropout, width=self.last, norm=self.norm, act=self.act)


class Line(NamedTuple):
    """A line of v3's tables: the depthwise kernel, channels inside and after it, SE, hard-swish (or ReLU), stride."""

    kernel: int
    expanded: int
    channels: int
    squeeze: bool
    hard_swish: bool
    stride: int


V3_LARGE = (
    (Line(3, 16, 16, False, False, 1),),
    (Line(3, 64, 24, False, False, 2), Line(3, 72, 24, False, False, 1)),
    (Line(5, 72, 40, True, False, 2), Line(5, 120, 40, True, False, 1), Line(5, 120, 40, True, False, 1)),
    (
        Line(3, 240, 80, False, True, 2),
        Line(3, 200, 80, False, True, 1),
        Line(3, 184, 80, False, True, 1),
        Line(3, 184, 80, False, True, 1),
    ),
    (Line(3, 480, 112, True, True, 1), Line(3, 672, 112, True, True, 1)),
    (Line(5, 672, 160, True, True, 2), Line(5, 960, 160, True, True, 1), Line(5, 960, 160, True, True, 1)),
)
"""Table 1 of 1905.02244, equal channels together."""

V3_SMALL = (
    (Line(3, 16, 16, True, False, 2),),
    (Line(3, 72, 24, False, False, 2), Line(3, 88, 24, False, False, 1)),
    (Line(5, 96, 40, True, True, 2), Line(5, 240, 40, True, True, 1), Line(5, 240, 40, True, True, 1)),
    (Line(5, 120, 48, True, True, 1), Line(5, 144, 48, True, True, 1)),
    (Line(5, 288, 96, True, True, 2), Line(5, 576, 96, True, True, 1), Line(5, 576, 96, True, True, 1)),
)
"""Table 2."""


def v3_blocks(
    table: Sequence[Sequence[Line]], stem: int, act: Act, *, width: float = 1.0, tail: float = 1.0
) -> list[list[Block]]:
    """``table`` with ``width`` times the channels, in its last row ``tail`` times that, and the 1x1 layer after it."""
    whole, channels = 16, stem  # of the full network, and of this one
    rows = []
    for number, lines in enumerate(table, start=1):
        factor = width * tail if number == len(table) else width
        blocks = []
        for line in lines:
            inside = rounded(channels * line.expanded / whole)
            squeezed = rounded(inside // 4) if line.squeeze else 0
            whole, channels = line.channels, rounded(line.channels * factor)
            each = act if line.hard_swish else nn.ReLU
            blocks.append(Block(channels, line.stride, line.kernel, inside, squeezed, each))
        rows.append(blocks)
    return [*rows, [Block(rounded(6 * table[-1][-1].channels * width * tail), kernel=1, act=act)]]


def v3_block(in_channels: int, block: Block, *, norm: Norm, **options: Any) -> nn.Module:
    """An inverted residual with v3's SE, or the 1x1 convolution at the end."""
    if block.kernel == 1:
        return ConvNorm(in_channels, block.channels, 1, norm=norm, act=block.act)
    squeeze = partial(SqueezeExcite, act=nn.ReLU, gate=nn.Hardsigmoid)
    return InvertedResidual(in_channels, block, norm=norm, squeeze=squeeze, **options)


class HiddenHead(nn.Module):
    """v3's classifier, which widens after the pooling (Fig. 5): a hidden layer, dropout, a linear layer."""

    def __init__(
        self, in_channels: int, hidden: int, num_classes: int, dropout: float = 0.0, *, act: Act = nn.Hardswish
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = nn.Linear(in_channels, hidden)
        self.act = act()
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        hidden = self.act(self.hidden(maps[-1].mean((2, 3))))
        return self.linear(F.dropout(hidden, self.dropout, self.training))


class MobileNetV3(DepthwiseStages):
    """Levels 1…5 of 16, 24, 40, 112 and 960 channels (large), or 16, 16, 24, 48 and 576 (small), times ``width``.

    ``act`` is in hard-swish's place; ReLUs stay. ``tail=0.5`` halves the channels of level 5, as the paper does for
    segmentation (§6.4). ``like="timm"`` has the eps of timm's own training, 1e-5. Other ``options`` are those of
    :class:`~baimu.backbones.depthwise.DepthwiseStages`.
    """

    dropout = 0.2

    def __init__(
        self,
        size: Literal["large", "small"],
        width: float = 1.0,
        *,
        norm: Norm = batch_norm,
        act: Act = nn.Hardswish,
        tail: float = 1.0,
        dilate: Dilate = "whole",
        like: Like = "torchvision",
        **options: Any,
    ) -> None:
        table, hidden = (V3_LARGE, 1280) if size == "large" else (V3_SMALL, 1024)
        if like == "torchvision":
            norm = with_numbers(norm, eps=1e-3, momentum=0.01)
        stem = rounded(16 * max(width, 0.75))
        blocks = v3_blocks(table, stem, act, width=width, tail=tail)
        super().__init__(stem, blocks, v3_block, norm=norm, act=act, dilate=dilate, like=like, **options)
        self.hidden, self.act = rounded(hidden * tail), act

    def make_head(self, num_classes: int, dropout: float) -> HiddenHead:
        return HiddenHead(self.channels[-1], self.hidden, num_classes, dropout, act=self.act)


@backbone(paper="1704.04861", recipe=RECIPE, reported={"top1": 70.6})
def mobilenet_v1(**options: Any) -> MobileNetV1:
    """MobileNet v1: 3.2 M parameters without a classifier."""
    return MobileNetV1(**options)


@backbone(paper="1704.04861", recipe=RECIPE, reported={"top1": 68.4})
def mobilenet_v1_x0_75(**options: Any) -> MobileNetV1:
    """MobileNet v1 of 0.75 times the channels: 1.8 M parameters without a classifier."""
    return MobileNetV1(0.75, **options)


@backbone(paper="1704.04861", recipe=RECIPE, reported={"top1": 63.7})
def mobilenet_v1_x0_5(**options: Any) -> MobileNetV1:
    """MobileNet v1 of half the channels: 0.8 M parameters without a classifier."""
    return MobileNetV1(0.5, **options)


@backbone(paper="1704.04861", recipe=RECIPE, reported={"top1": 50.6})
def mobilenet_v1_x0_25(**options: Any) -> MobileNetV1:
    """MobileNet v1 of a quarter of the channels: 0.2 M parameters without a classifier."""
    return MobileNetV1(0.25, **options)


@backbone(paper="1801.04381", recipe=RECIPE, reported={"top1": 72.0})
def mobilenet_v2(**options: Any) -> MobileNetV2:
    """MobileNet v2: 1.8 M parameters without a classifier."""
    return MobileNetV2(**options)


@backbone(paper="1801.04381", recipe=RECIPE)
def mobilenet_v2_x0_35(**options: Any) -> MobileNetV2:
    """MobileNet v2 of 0.35 times the channels: 0.3 M parameters without a classifier."""
    return MobileNetV2(0.35, **options)


@backbone(paper="1801.04381", recipe=RECIPE)
def mobilenet_v2_x0_5(**options: Any) -> MobileNetV2:
    """MobileNet v2 of half the channels: 0.5 M parameters without a classifier."""
    return MobileNetV2(0.5, **options)


@backbone(paper="1801.04381", recipe=RECIPE)
def mobilenet_v2_x0_75(**options: Any) -> MobileNetV2:
    """MobileNet v2 of 0.75 times the channels: 1.0 M parameters without a classifier."""
    return MobileNetV2(0.75, **options)


@backbone(paper="1801.04381", recipe=RECIPE, reported={"top1": 74.7})
def mobilenet_v2_x1_4(**options: Any) -> MobileNetV2:
    """MobileNet v2 of 1.4 times the channels: 3.5 M parameters without a classifier."""
    return MobileNetV2(1.4, **options)


@backbone(paper="1905.02244", recipe=RECIPE_V3, reported={"top1": 75.2})
def mobilenet_v3_large(**options: Any) -> MobileNetV3:
    """MobileNet v3 large: 3.0 M parameters without a classifier."""
    return MobileNetV3("large", **options)


@backbone(paper="1905.02244", recipe=RECIPE_V3, reported={"top1": 73.3})
def mobilenet_v3_large_x0_75(**options: Any) -> MobileNetV3:
    """MobileNet v3 large of 0.75 times the channels: 1.8 M parameters without a classifier."""
    return MobileNetV3("large", 0.75, **options)


@backbone(paper="1905.02244", recipe=RECIPE_V3, reported={"top1": 67.4})
def mobilenet_v3_small(**options: Any) -> MobileNetV3:
    """MobileNet v3 small: 0.9 M parameters without a classifier."""
    return MobileNetV3("small", **options)


@backbone(paper="1905.02244", recipe=RECIPE_V3, reported={"top1": 65.4})
def mobilenet_v3_small_x0_75(**options: Any) -> MobileNetV3:
    """MobileNet v3 small of 0.75 times the channels: 0.6 M parameters without a classifier."""
    return MobileNetV3("small", 0.75, **options)
