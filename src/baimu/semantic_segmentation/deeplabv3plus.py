"""Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation (Chen, Zhu, Papandreou, Schroff,
Adam 2018), arXiv 1802.02611.

DeepLabV3's answer is coarse at borders: it is joined with the backbone's fine map C2, reduced to a few channels so that
it does not drown the other, and refined by two convolutions. Convolutions are separable, each channel by itself before
channels are mixed, which costs a fraction.

B images, K classes, H x W pixels, h x w cells.

Differences (``like=``):

=====================  ============================  ============================
what                   paper                         "mmsegmentation"
=====================  ============================  ============================
output stride          16 in training and tests      8
width                  256                           a quarter of C5
after joining the      1x1                           3x3
branches of ASPP
channels of C2         48                            48 of a ResNet-50; 12 of 18
last stage's blocks    dilation times (1, 2, 4)      times 1
stem                   one 7x7                       three 3x3
auxiliary head         none                          times 0.4
=====================  ============================  ============================

Dilations as DeepLabV3's. The paper's other backbone, Xception, is not here.

Reported: mIoU 78.85 with ResNet-101 on PASCAL VOC 2012 val at stride 16, single scale (Table 3). Of
``like="mmsegmentation"`` on Cityscapes val, mmsegmentation 1.2.2, 40k steps: 79.61 (ResNet-50), 80.21 (ResNet-101).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.layers.conv import ConvNorm, init_fan_out
from baimu.layers.norm import Norm, sync_batch_norm
from baimu.semantic_segmentation.deeplabv3 import ASPP, deeplab_resnet, rates, voc
from baimu.semantic_segmentation.fcn import auxiliary_head
from baimu.semantic_segmentation.segmenter import Segmenter, pixel_classifier, resize_maps
from baimu.zoo import model


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel by itself, then a 1x1 that mixes them; norm and ReLU after both (§3.1)."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1, norm: Norm = sync_batch_norm) -> None:
        super().__init__()
        self.depthwise = ConvNorm(in_channels, in_channels, 3, dilation=dilation, groups=in_channels, norm=norm)
        self.pointwise = ConvNorm(in_channels, out_channels, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class DeepLabV3PlusHead(nn.Module):
    """ASPP of the last map, joined at the first map's size with ``fine_channels`` of that, refined and classified."""

    def __init__(
        self,
        aspp: ASPP,
        in_channels: int,
        fine_channels: int,
        width: int,
        num_classes: int,
        *,
        dropout: float = 0.1,
        align_corners: bool = False,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        self.dropout, self.align_corners = dropout, align_corners
        self.aspp = aspp
        self.fine = ConvNorm(in_channels, fine_channels, 1, norm=norm)
        widths = (width + fine_channels, width)
        self.refine = nn.Sequential(*(SeparableConv(channels, width, norm=norm) for channels in widths))
        init_fan_out(self)
        self.classify = pixel_classifier(width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        coarse, fine = self.aspp(maps[-1]), self.fine(maps[0])
        x = torch.cat([resize_maps(coarse, fine.shape[2:], self.align_corners), fine], 1)
        return self.classify(F.dropout2d(self.refine(x), self.dropout, self.training))


def deeplabv3plus(
    build: Callable[..., ResNet],
    num_classes: int,
    *,
    like: str = "paper",
    output_stride: int | None = None,
    stem: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    stride_in_3x3: bool = True,
    norm: Norm = sync_batch_norm,
    auxiliary: bool | None = None,
    align_corners: bool = False,
    **options: Any,
) -> Segmenter:
    """DeepLabV3+ on a dilated ResNet; arguments as of :func:`~baimu.semantic_segmentation.deeplabv3.deeplabv3`."""
    given = {"output_stride": output_stride, "stem": stem, "multi_grid": multi_grid, "stride_in_3x3": stride_in_3x3}
    backbone = deeplab_resnet(build, like, levels=(2, 4, 5), norm=norm, **given)
    channels, theirs = backbone.channels[-1], like == "mmsegmentation"
    width = channels // 4 if theirs else 256
    aspp = ASPP(
        channels,
        width,
        rates(backbone.strides[-1]),
        branch=SeparableConv,
        project_kernel=3 if theirs else 1,
        align_corners=align_corners,
        norm=norm,
    )
    fine = 48 * channels // 2048 if theirs else 48
    head = DeepLabV3PlusHead(
        aspp, backbone.channels[0], fine, width, num_classes, align_corners=align_corners, norm=norm
    )
    with_helper = theirs if auxiliary is None else auxiliary
    helper = auxiliary_head(backbone, num_classes, norm) if with_helper else None
    return Segmenter(backbone, head, num_classes=num_classes, auxiliary=helper, align_corners=align_corners, **options)


@model("deeplabv3plus_r18", task="semantic_segmentation", paper="1802.02611", recipe=voc)
def deeplabv3plus_r18(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3+ on a dilated ResNet-18."""
    return deeplabv3plus(resnet18, num_classes, **options)


@model("deeplabv3plus_r50", task="semantic_segmentation", paper="1802.02611", recipe=voc)
def deeplabv3plus_r50(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3+ on a dilated ResNet-50."""
    return deeplabv3plus(resnet50, num_classes, **options)


@model("deeplabv3plus_r101", task="semantic_segmentation", paper="1802.02611", recipe=voc, reported={"miou": 78.85})
def deeplabv3plus_r101(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3+ on a dilated ResNet-101."""
    return deeplabv3plus(resnet101, num_classes, **options)
