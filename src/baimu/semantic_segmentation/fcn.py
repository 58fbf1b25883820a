"""Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer, Darrell 2014), arXiv 1411.4038.

A classifier whose linear layers are read as convolutions is a map of classifications; what strides have lost of it
comes back from finer maps, whose own scores are added.

B images, K classes, H x W pixels, h x w cells.

``fcn8s_vgg16``, ``fcn16s_vgg16`` and ``fcn32s_vgg16`` are the paper's. ``fcn_r18``, ``fcn_r50`` and ``fcn_r101`` are
what the name has meant since: a ResNet that keeps its map at a stride of 8 (dilated, 1511.07122) with two convolutions
on top, and an auxiliary head (PSPNet's, 1612.01105 §3.3).

Differences:

=====================  ============================  ===================================================================
what                   paper                         here
=====================  ============================  ===================================================================
loss                   sum over pixels, batch 1 or   mean over pixels, and the rate of the paper's batches of 20
                       mean of 20 images
training of the skips  one after the other, or at    at once: scores of pool4 times 0.01, of pool3 times 0.0001 (the
                       once                          journal's version, 1605.06211 §4.3)
=====================  ============================  ===================================================================

=====================  ============================  ============================  =====================================
dilated                here (and mmsegmentation)     torchvision                   mmsegmentation's other choices
=====================  ============================  ============================  =====================================
stem                   three 3x3                     one 7x7
head                   2 convolutions, joined with   1 convolution
                       their input by another
auxiliary loss         times 0.4                     times 0.5
dropout                whole channels                single values; whole here
mean of the loss       over decided pixels           the same                      over all (``average="all"``)
=====================  ============================  ============================  =====================================

Reported mIoU: the paper's on PASCAL VOC 2011 val (seg11valid); of ``fcn_r*`` mmsegmentation 1.2.2's on Cityscapes val
(40k steps; 80k of ``fcn_r18``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.backbones.vgg import VGG, vgg16
from baimu.errors import unknown
from baimu.layers.conv import ConvNorm, init_fan_out, init_normal
from baimu.layers.norm import Norm, sync_batch_norm
from baimu.recipes import cityscapes_40k
from baimu.semantic_segmentation.segmenter import Segmenter, pixel_classifier
from baimu.zoo import model

STEM = (32, 32, 64)
"""Of the ResNets of mmsegmentation, "v1c"."""


class FCNHead(nn.Module):
    """``convs`` 3x3 convolutions on the map ``level`` of the backbone's, their answer joined with that map by one more
    (``joined``), and the classifier."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        num_classes: int,
        *,
        convs: int = 2,
        joined: bool = True,
        level: int = -1,
        dropout: float = 0.1,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        self.level, self.dropout = level, dropout
        widths = [in_channels, *[width] * convs]
        self.convs = nn.ModuleList(ConvNorm(before, width, norm=norm) for before in widths[:-1])
        self.join = ConvNorm(in_channels + width, width, norm=norm) if joined else None
        init_fan_out(self)
        self.classify = pixel_classifier(width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        source = x = maps[self.level]
        for conv in self.convs:
            x = conv(x)
        if self.join is not None:
            x = self.join(torch.cat([source, x], 1))
        return self.classify(F.dropout2d(x, self.dropout, self.training))


def auxiliary_head(backbone: ResNet, num_classes: int, norm: Norm = sync_batch_norm, *, level: int = -2) -> FCNHead:
    """The head that only trains, on C4: one convolution to a quarter of its channels."""
    channels = backbone.channels[level]
    return FCNHead(channels, channels // 4, num_classes, convs=1, joined=False, level=level, norm=norm)


def fcn(
    build: Callable[..., ResNet],
    num_classes: int,
    *,
    like: str = "mmsegmentation",
    output_stride: int = 8,
    stem: Sequence[int] | None = None,
    stride_in_3x3: bool = True,
    norm: Norm = sync_batch_norm,
    auxiliary: bool = True,
    **options: Any,
) -> Segmenter:
    """FCN on a dilated ResNet, without ``auxiliary`` for inference alone. Weights of torchvision need
    ``like="torchvision"``; ``options`` are those of :class:`~baimu.semantic_segmentation.segmenter.Segmenter`."""
    if like not in ("mmsegmentation", "torchvision"):
        raise unknown("definitions to be like", like, ("mmsegmentation", "torchvision"))
    theirs = like == "torchvision"
    stem = tuple(stem or ((64,) if theirs else STEM))
    backbone = build(out=(4, 5), norm=norm, stem=stem, output_stride=output_stride, stride_in_3x3=stride_in_3x3)
    channels = backbone.channels[-1]
    convs = 1 if theirs else 2
    head = FCNHead(channels, channels // 4, num_classes, convs=convs, joined=not theirs, norm=norm)
    helper = auxiliary_head(backbone, num_classes, norm) if auxiliary else None
    options = {"auxiliary_weight": 0.5 if theirs else 0.4, **options}
    return Segmenter(backbone, head, num_classes=num_classes, auxiliary=helper, **options)


def bilinear_kernel(size: int) -> Float[Tensor, "s s"]:
    """Weights of a transposed convolution that interpolates: of stride ``size // 2``, with a side of twice that."""
    middle = (size - 1) / 2
    line = 1 - (torch.arange(size) - middle).abs() / (size / 2)
    return line[:, None] * line


class Upsample(nn.ConvTranspose2d):
    """Each channel by itself, ``stride`` times as fine; bilinear to begin with, or for good (``learns=False``)."""

    def __init__(self, channels: int, stride: int, *, learns: bool = True) -> None:
        super().__init__(channels, channels, 2 * stride, stride, bias=False, groups=channels)
        with torch.no_grad():
            self.weight.copy_(bilinear_kernel(2 * stride).expand_as(self.weight))
        self.weight.requires_grad_(learns)


OFFSETS = {32: 19, 16: 27, 8: 31}
"""Where the picture begins in scores of a stride."""
SKIPS = (("pool4", 512, 0.01, 5), ("pool3", 256, 0.0001, 9))
"""Name, channels, factor, and where the coarser scores begin in its own."""


class SkipHead(nn.Module):
    """The classifier of VGG-16 as convolutions, and scores of the poolings before it (§4.2, Fig. 3).

    ``stride`` 32 has none of these, 16 that of pool4, 8 that of pool3 too. The finest scores are interpolated to
    pixels; the picture begins ``offset`` of them inside what comes out.
    """

    def __init__(self, stride: int, num_classes: int, *, hidden: int = 4096, dropout: float = 0.5) -> None:
        super().__init__()
        self.offset, self.dropout = OFFSETS[stride], dropout
        self.fc6 = nn.Conv2d(512, hidden, 7)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.skips = SKIPS[: {32: 0, 16: 1, 8: 2}[stride]]
        self.score = nn.ModuleDict({"classify": _scores(hidden, num_classes)})
        self.upsample = nn.ModuleDict()
        for name, channels, _, _ in self.skips:
            self.upsample[name] = Upsample(num_classes, 2)
            self.score[name] = _scores(channels, num_classes)
        self.interpolate = Upsample(num_classes, stride, learns=False)
        init_normal(self.fc6, 0.01)
        init_normal(self.fc7, 0.01)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *finer, x = maps
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        x = self.score["classify"](x)
        for (name, _, factor, offset), map in zip(self.skips, reversed(finer), strict=True):
            x = self.upsample[name](x)
            scores = self.score[name](F.max_pool2d(map, 2, ceil_mode=True) * factor)
            height, width = x.shape[2:]
            x = x + scores[:, :, offset : offset + height, offset : offset + width]
        return self.interpolate(x)


def _scores(channels: int, num_classes: int) -> nn.Conv2d:
    """Scores begin at zero (§4.3)."""
    layer = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class FCN(Segmenter):
    """VGG-16 and a :class:`SkipHead`; images get a border of 100 zeros, so that every pixel has a score."""

    head: SkipHead

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Normalised images → logits of their pixels."""
        height, width = images.shape[2:]
        scores = self.head(self.backbone(F.pad(images, [99] * 4)))  # the first convolution pads by one more
        start = self.head.offset
        return scores[:, :, start : start + height, start : start + width]


def fcn_vgg16(stride: int, num_classes: int, *, hidden: int = 4096, dropout: float = 0.5, **options: Any) -> FCN:
    """The paper's network; ``hidden`` is the width of fc6 and fc7."""
    backbone: VGG = vgg16(out=(2, 3, 5)[{32: 2, 16: 1, 8: 0}[stride] :])
    for layer in backbone.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True  # as Caffe: the offsets count on it
    head = SkipHead(stride, num_classes, hidden=hidden, dropout=dropout)
    return FCN(backbone, head, num_classes=num_classes, **options)


voc = cityscapes_40k.replace(
    epochs=175,
    batch_size=20,
    lr=1e-4,
    lr_batch_size=20,
    schedule="constant",
    bias_lr_factor=2.0,
    bias_decay=False,
    size=500,
    max_size=500,
    scale_jitter=None,
    train_crop=(500, 500),
    crop_largest_share=1.0,
    photometric=0.0,
)
"""§4.3: SGD 1e-4 (twice that for biases) for 20 images, momentum 0.9, decay 5e-4, whole images, no augmentation but
flips; "at least 175 epochs"."""


@model("fcn32s_vgg16", task="semantic_segmentation", paper="1411.4038", recipe=voc, reported={"miou": 59.4})
def fcn32s_vgg16(num_classes: int = 21, **options: Any) -> FCN:
    """FCN-32s: VGG-16 with its classifier as convolutions."""
    return fcn_vgg16(32, num_classes, **options)


@model("fcn16s_vgg16", task="semantic_segmentation", paper="1411.4038", recipe=voc, reported={"miou": 62.4})
def fcn16s_vgg16(num_classes: int = 21, **options: Any) -> FCN:
    """FCN-16s: with scores of pool4."""
    return fcn_vgg16(16, num_classes, **options)


@model("fcn8s_vgg16", task="semantic_segmentation", paper="1411.4038", recipe=voc, reported={"miou": 62.7})
def fcn8s_vgg16(num_classes: int = 21, **options: Any) -> FCN:
    """FCN-8s: with scores of pool4 and pool3."""
    return fcn_vgg16(8, num_classes, **options)


@model("fcn_r18", task="semantic_segmentation", paper="1411.4038", recipe=cityscapes_40k, reported={"miou": 71.11})
def fcn_r18(num_classes: int = 19, **options: Any) -> Segmenter:
    """FCN on a dilated ResNet-18."""
    return fcn(resnet18, num_classes, **options)


@model("fcn_r50", task="semantic_segmentation", paper="1411.4038", recipe=cityscapes_40k, reported={"miou": 72.25})
def fcn_r50(num_classes: int = 19, **options: Any) -> Segmenter:
    """FCN on a dilated ResNet-50."""
    return fcn(resnet50, num_classes, **options)


@model("fcn_r101", task="semantic_segmentation", paper="1411.4038", recipe=cityscapes_40k, reported={"miou": 75.45})
def fcn_r101(num_classes: int = 19, **options: Any) -> Segmenter:
    """FCN on a dilated ResNet-101."""
    return fcn(resnet101, num_classes, **options)
