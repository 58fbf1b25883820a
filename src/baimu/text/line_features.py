"""What a line of text looks like, column by column: the convolutions of CRNN and the residual ones of FAN.

Both halve the height five times but the width only twice, so that a column of the answer, a quarter of the input's
height wide or less, sees about a letter. B lines of 32 x W pixels, v = W // 4, T = v + 1 columns.

- Shi, Bai, Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition and Its Application to
  Scene Text Recognition", 2015/2017, arXiv 1507.05717, Table 1.
- Cheng, Bai, Xu, Zheng, Pu, Zhou, "Focusing Attention: Towards Accurate Text Recognition in Natural Images", 2017,
  arXiv 1709.02054, Table 1: a ResNet that Baek et al. (1904.01906) found to read best in front of a BiLSTM.

Differences: right of a line's own width every map is zero, as a convolution pads it, so that a line is read the same
whatever it shares its batch with. (The authors stretch all lines to 100 pixels.)
"""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.layers.conv import ConvNorm
from baimu.layers.norm import Norm, batch_norm, conv_norm
from baimu.layers.ragged import keep_columns
from baimu.layers.residual import ConvNormPair

HEIGHT = 32
"""Of every line, in pixels."""

CHANNELS = 512
"""Of every column."""


def columns_of(widths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """T, the columns that lines of ``widths`` pixels have."""
    return widths // 4 + 1


class VGGFeatures(nn.Module):
    """Seven convolutions; two of the four poolings halve the height alone. 5.6 M parameters."""

    channels = CHANNELS

    def __init__(self, *, in_channels: int = 1, norm: Norm = batch_norm) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, 64)
        self.conv2 = ConvNorm(64, 128)
        self.conv3 = ConvNorm(128, 256, norm=norm, bias=True)
        self.conv4 = ConvNorm(256, 256)
        self.conv5 = ConvNorm(256, 512, norm=norm, bias=True)
        self.conv6 = ConvNorm(512, 512)
        self.conv7 = ConvNorm(512, 512, 2, padding=0, norm=norm, bias=True)

    def forward(
        self, images: Float[Tensor, "b c 32 w"], widths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b 512 t"]:
        """Normalised lines, of which ``widths`` pixels are valid (None: all), to columns."""
        half, v = (None, None) if widths is None else (widths // 2, widths // 4)
        steps = None if v is None else v + 1
        x = keep_columns(F.max_pool2d(self.conv1(images), 2), half)
        x = keep_columns(F.max_pool2d(self.conv2(x), 2), v)
        x = keep_columns(self.conv4(keep_columns(self.conv3(x), v)), v)
        x = F.max_pool2d(x, 2, (2, 1), (0, 1))
        x = keep_columns(self.conv6(keep_columns(self.conv5(x), steps)), steps)
        x = F.max_pool2d(x, 2, (2, 1), (0, 1))
        return self.conv7(x).squeeze(2)


class LineBlock(nn.Module):
    """A residual block of two 3x3 convolutions, with the widths of its lines kept between them."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = norm(out_channels)
        self.downsample = None if in_channels == out_channels else ConvNormPair(in_channels, out_channels, 1, norm)

    def forward(self, x: Tensor, widths: Tensor | None) -> Tensor:
        out = keep_columns(conv_norm(self.conv1, self.bn1, x, relu=True), widths)
        shortcut = x if self.downsample is None else self.downsample(x)
        return keep_columns(conv_norm(self.conv2, self.bn2, out, add=shortcut, relu=True), widths)


class LineStage(nn.Module):
    """``depth`` blocks and a 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, norm: Norm) -> None:
        super().__init__()
        widths = [in_channels, *[out_channels] * depth]
        self.blocks = nn.ModuleList(LineBlock(a, b, norm) for a, b in itertools.pairwise(widths))
        self.conv = ConvNorm(out_channels, out_channels, norm=norm)

    def forward(self, x: Tensor, widths: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, widths)
        return keep_columns(self.conv(x), widths)


class ResNetFeatures(nn.Module):
    """Blocks of 1, 2, 5 and 3 with a convolution behind each stage, 29 convolutions on the way. 44.3 M parameters."""

    channels = CHANNELS

    def __init__(self, *, in_channels: int = 1, norm: Norm = batch_norm) -> None:
        super().__init__()
        self.stem = nn.ModuleList([ConvNorm(in_channels, 32, norm=norm), ConvNorm(32, 64, norm=norm)])
        self.stage1 = LineStage(64, 128, 1, norm)
        self.stage2 = LineStage(128, 256, 2, norm)
        self.stage3 = LineStage(256, 512, 5, norm)
        self.stage4 = nn.ModuleList(LineBlock(512, 512, norm) for _ in range(3))
        self.narrow = nn.Conv2d(512, 512, 2, (2, 1), (0, 1), bias=False)
        self.narrow_norm = norm(512)
        self.last = ConvNorm(512, 512, 2, padding=0, norm=norm)

    def forward(
        self, images: Float[Tensor, "b c 32 w"], widths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b 512 t"]:
        """Normalised lines, of which ``widths`` pixels are valid (None: all), to columns."""
        half, v = (None, None) if widths is None else (widths // 2, widths // 4)
        steps = None if v is None else v + 1
        x = images
        for conv in self.stem:
            x = keep_columns(conv(x), widths)
        x = self.stage1(keep_columns(F.max_pool2d(x, 2), half), half)
        x = self.stage2(keep_columns(F.max_pool2d(x, 2), v), v)
        x = self.stage3(F.max_pool2d(x, 2, (2, 1), (0, 1)), steps)
        for block in self.stage4:
            x = block(x, steps)
        x = conv_norm(self.narrow, self.narrow_norm, x, relu=True)
        x = keep_columns(x, None if steps is None else steps + 1)
        return self.last(x).mean(2)
