"""The backbones of YOLO v2, v3 and v4.

- *Darknet-19*: YOLO9000: Better, Faster, Stronger (Redmon, Farhadi 2016), arXiv 1612.08242. 3x3 convolutions that
  double the channels after each pooling, 1x1 convolutions between them that halve them.
- *Darknet-53*: YOLOv3: An Incremental Improvement (Redmon, Farhadi 2018), arXiv 1804.02767. A strided 3x3 instead of
  each pooling, then residual blocks of 1x1 and 3x3.
- *CSPDarknet-53*: CSPNet (Wang, Liao, Yeh, Wu, Chen, Hsieh 2019), arXiv 1911.11929, as in YOLOv4 (Bochkovskiy, Wang,
  Liao 2020), arXiv 2004.10934. Only half of the channels of a stage go through its blocks, the other half passes by, so
  that a gradient comes once and not again and again.

The detectors read strides 8, 16 and 32, the default of ``out``. YOLO v5's and YOLOX's "CSPDarknet" is another family.

Dims: B images, C channels. A residual sum is not activated.

Differences from the C code, whose files :func:`baimu.weights.darknet.read_darknet` reads: batch norm adds 1e-5 to the
variance under the root, as every port and AlexeyAB's Darknet do; the first Darknet (pjreddie) adds 1e-6 to the root.
The classifier, a 1x1 convolution there, is a linear layer on the mean, which is the same. CSPDarknet-53 is leaky as
the papers' classifier; YOLOv4 itself has ``act="mish"``. The classifiers of timm and OpenMMLab were trained with
``slope=0.01``, and have one convolution for the two ways of a stage.

``reported``: the papers' top-1 at 256 pixels (Darknet-19: at 224).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.layers.activations import activation
from baimu.layers.conv import Act, ConvNorm
from baimu.layers.drop_path import DropPath, rising_rates
from baimu.layers.norm import Norm, batch_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

Conv = Callable[..., ConvNorm]
""":class:`~baimu.layers.conv.ConvNorm` of a network's norm and activation."""


class DarkBlock(nn.Module):
    """1x1 to ``inner`` channels, 3x3 back, plus the input."""

    def __init__(self, channels: int, inner: int, conv: Conv, dilation: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = conv(channels, inner, 1)
        self.conv2 = conv(inner, channels, 3, dilation=dilation)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.conv2(self.conv1(x)))


class DarkStage(nn.Module):
    """A strided 3x3, then a block for each of ``drop_paths``.

    ``dilations`` are of the first convolution and of the blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        conv: Conv,
        dilations: tuple[int, int],
        drop_paths: Sequence[float],
    ) -> None:
        super().__init__()
        first, later = dilations
        self.down = conv(in_channels, out_channels, 3, stride=stride, dilation=first)
        self.blocks = nn.Sequential(
            *(DarkBlock(out_channels, out_channels // 2, conv, later, rate) for rate in drop_paths)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.down(x))


class CSPStage(nn.Module):
    """A strided 3x3, then two ways: through the blocks, and past them; both again in one.

    Each way has half of the stage's channels, in the first stage, which has few, all of them. The order of the modules
    is that of the ``.weights`` files.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        conv: Conv,
        dilations: tuple[int, int],
        drop_paths: Sequence[float],
    ) -> None:
        super().__init__()
        first, later = dilations
        narrow = out_channels == 64
        width, inner = (out_channels, out_channels // 2) if narrow else (out_channels // 2, out_channels // 2)
        self.down = conv(in_channels, out_channels, 3, stride=stride, dilation=first)
        self.past = conv(out_channels, width, 1)
        self.through = conv(out_channels, width, 1)
        self.blocks = nn.Sequential(*(DarkBlock(width, inner, conv, later, rate) for rate in drop_paths))
        self.after = conv(width, width, 1)
        self.join = conv(2 * width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        return self.join(torch.cat([self.after(self.blocks(self.through(x))), self.past(x)], 1))


class PlainStage(nn.Module):
    """Pooling, then as many convolutions as ``drop_paths`` has places (an odd number): 3x3, and between them 1x1 of
    half the channels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        conv: Conv,
        dilations: tuple[int, int],
        drop_paths: Sequence[float],
    ) -> None:
        super().__init__()
        if any(drop_paths):
            raise ValueError("Darknet-19 has no residual blocks, so that no path can be dropped: leave drop_path at 0")
        self.stride = stride
        self.convs = nn.Sequential()
        for i in range(len(drop_paths)):
            narrow = i % 2 == 1
            width = out_channels // 2 if narrow else out_channels
            kernel, dilation = (1, 1) if narrow else (3, dilations[1])
            self.convs.append(conv(in_channels, width, kernel, dilation=dilation))
            in_channels = width

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x if self.stride == 1 else F.max_pool2d(x, 2, ceil_mode=True))


class Darknet(Stages):
    """Maps of 64, 128, 256, 512, 1024 channels and strides 2…32 (levels 1…5); ``out``, ``frozen_stages`` and
    ``checkpointing`` as of :class:`~baimu.backbones.stages.Stages`.

    ``depths`` are the numbers of blocks of the five stages. ``act`` is a name of
    :mod:`baimu.layers.activations` or a factory; ``slope`` is that of leaky ReLU below zero. ``drop_path`` is the last
    block's rate. ``output_stride`` 16 or 8 keeps the map from there on and spreads the later 3x3 convolutions.
    ``small_images``: the first two stages keep the size, for images of about 32 pixels, so that all strides are a
    quarter.
    """

    def __init__(
        self,
        stage: Callable[..., nn.Module],
        depths: tuple[int, int, int, int, int],
        *,
        out: Sequence[int] = (3, 4, 5),
        norm: Norm = batch_norm,
        act: str | Act = "leaky_relu",
        slope: float = 0.1,
        drop_path: float = 0.0,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        output_stride: int = 32,
        small_images: bool = False,
    ) -> None:
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        scale = 4 if small_images else 1
        strides = [max(1, min(2**level, output_stride) // scale) for level in range(6)]
        levels = {level: (32 * 2**level, strides[level]) for level in range(1, 6)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        options = {"negative_slope": slope} if act == "leaky_relu" else {}
        conv = partial(ConvNorm, norm=norm, act=activation(act, inplace=True, **options))
        self.stem = conv(3, 32, 3)
        self.stages = nn.ModuleList()
        rates = rising_rates(drop_path, sum(depths))
        dilation = 1
        for level in self.levels:
            before, own = sum(depths[: level - 1]), depths[level - 1]
            first = dilation
            if 2**level > output_stride:
                dilation *= 2
            place = (strides[level] // strides[level - 1], conv, (first, dilation), rates[before : before + own])
            self.stages.append(stage(16 * 2**level, 32 * 2**level, *place))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        return [self.stem, self.stages[0]] if level == 1 else [self.stages[level - 1]]


_recipe = imagenet_90.replace(
    epochs=80, batch_size=128, lr_batch_size=128, weight_decay=5e-4, schedule="cosine", size=256, crop_share=1.0
)
"""As in the configurations of the code: 800,000 steps of 128 images of 256 pixels, decay 5e-4; the rate falls by a
cosine where theirs falls by (1 − t)^4."""


@backbone(paper="1612.08242", recipe=_recipe, reported={"top1": 72.9})
def darknet19(**options) -> Darknet:
    """Darknet-19 of YOLOv2: 19.8 M parameters without a classifier."""
    return Darknet(PlainStage, (1, 3, 3, 5, 5), **options)


@backbone(paper="1804.02767", recipe=_recipe, reported={"top1": 77.2})
def darknet53(**options) -> Darknet:
    """Darknet-53 of YOLOv3: 40.6 M parameters without a classifier."""
    return Darknet(DarkStage, (1, 2, 8, 8, 4), **options)


@backbone(paper="1911.11929", recipe=_recipe, reported={"top1": 77.2})
def cspdarknet53(**options) -> Darknet:
    """CSPDarknet-53 of YOLOv4: 26.6 M parameters without a classifier."""
    return Darknet(CSPStage, (1, 2, 8, 8, 4), **options)
