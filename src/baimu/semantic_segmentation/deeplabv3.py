"""Rethinking Atrous Convolution for Semantic Image Segmentation (Chen, Papandreou, Schroff, Adam 2017),
arXiv 1706.05587.

A convolution with holes sees far on a map that stays fine: several of them side by side, of different dilations, see a
thing at several scales, and the mean of the map adds the scene (atrous spatial pyramid pooling, ASPP).

B images, K classes, H x W pixels, h x w cells.

Differences (``like=``):

=====================  ============================  ============================  =====================================
what                   paper                         "mmsegmentation"              "torchvision"
=====================  ============================  ============================  =====================================
output stride          16 in training, 8 in tests    8                             8
dilations              6, 12, 18; twice these at 8   12, 24, 36                    12, 24, 36
width of the branches  256                           a quarter of C5               256
after joining them     1x1                           3x3                           1x1, dropout 0.5, 3x3
last stage's blocks    dilation times (1, 2, 4)      times 1                       times 1
stem                   one 7x7                       three 3x3                     one 7x7
auxiliary head         none                          times 0.4                     times 0.5
=====================  ============================  ============================  =====================================

One set of weights serves every output stride: a model of ``output_stride=8`` loads the state dict of one of 16, which
is what the paper does for its tests.

Reported: mIoU 77.21 with ResNet-101 on PASCAL VOC 2012 val at stride 16, single scale (Table 5). Of
``like="mmsegmentation"`` on Cityscapes val, mmsegmentation 1.2.2, 40k steps: 79.09 (ResNet-50), 77.12 (ResNet-101); of
``like="torchvision"`` on COCO val2017 with VOC's classes 66.4 and 67.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.errors import unknown
from baimu.layers.conv import ConvNorm, init_fan_out
from baimu.layers.norm import Norm, sync_batch_norm
from baimu.recipes import cityscapes_40k
from baimu.semantic_segmentation.fcn import STEM, auxiliary_head
from baimu.semantic_segmentation.segmenter import Segmenter, pixel_classifier, resize_maps
from baimu.zoo import model

LIKE = ("paper", "mmsegmentation", "torchvision")
MULTI_GRID = (1, 2, 4)
"""Factors of the dilations of the last stage's three blocks (§3.2.1, Table 5); a ResNet-18 has two of them."""


class ASPP(nn.Module):
    """A 1x1 convolution, 3x3 ones of ``dilations`` and the map's mean, joined and projected to ``width`` (§3.3).

    ``branch`` makes the dilated convolutions: (in, out, dilation, norm). ``project_kernel`` and ``dropout`` are of the
    projection.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        dilations: Sequence[int],
        *,
        branch: Callable[[int, int, int, Norm], nn.Module] | None = None,
        project_kernel: int = 1,
        dropout: float = 0.0,
        align_corners: bool = False,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        make = branch or _dilated
        self.align_corners, self.dropout = align_corners, dropout
        dilated = [make(in_channels, width, dilation, norm) for dilation in dilations]
        self.branches = nn.ModuleList([ConvNorm(in_channels, width, 1, norm=norm), *dilated])
        self.mean = ConvNorm(in_channels, width, 1, norm=norm)
        self.project = ConvNorm((len(dilated) + 2) * width, width, project_kernel, norm=norm)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        mean = self.mean(x.mean((2, 3), keepdim=True))
        views = [*(branch(x) for branch in self.branches), resize_maps(mean, x.shape[2:], self.align_corners)]
        return F.dropout(self.project(torch.cat(views, 1)), self.dropout, self.training)


def _dilated(in_channels: int, width: int, dilation: int, norm: Norm) -> nn.Module:
    return ConvNorm(in_channels, width, 3, dilation=dilation, norm=norm)


class DeepLabV3Head(nn.Module):
    """ASPP of the last map, torchvision's further convolution where ``refine`` asks for it, and the classifier."""

    def __init__(
        self,
        aspp: ASPP,
        width: int,
        num_classes: int,
        *,
        refine: bool = False,
        dropout: float = 0.1,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.aspp = aspp
        self.refine = ConvNorm(width, width, norm=norm) if refine else None
        init_fan_out(self)
        self.classify = pixel_classifier(width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.aspp(maps[-1])
        if self.refine is not None:
            x = self.refine(x)
        return self.classify(F.dropout2d(x, self.dropout, self.training))


def rates(output_stride: int) -> tuple[int, int, int]:
    """The dilations that see equally far in pixels at every output stride (§3.3)."""
    return 96 // output_stride, 192 // output_stride, 288 // output_stride


def deeplab_resnet(
    build: Callable[..., ResNet],
    like: str,
    *,
    levels: Sequence[int],
    output_stride: int | None = None,
    stem: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    stride_in_3x3: bool = True,
    norm: Norm = sync_batch_norm,
) -> ResNet:
    """The dilated ResNet of a DeepLab; what is not given is as in ``like``, one of :data:`LIKE`."""
    if like not in LIKE:
        raise unknown("definitions to be like", like, LIKE)
    own = like == "paper"
    blocks = 2 if build is resnet18 else 3
    return build(
        out=tuple(levels),
        norm=norm,
        stem=tuple(stem or (STEM if like == "mmsegmentation" else (64,))),
        output_stride=output_stride or (16 if own else 8),
        multi_grid=tuple(MULTI_GRID[:blocks] if own and multi_grid is None else multi_grid or ()),
        stride_in_3x3=stride_in_3x3,
    )


def deeplabv3(
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
    """DeepLabV3 on a dilated ResNet. ``like`` says by whose definitions (see the table above), ``auxiliary`` whether
    with the auxiliary head; ``options`` are those of :class:`~baimu.semantic_segmentation.segmenter.Segmenter`."""
    given = {"output_stride": output_stride, "stem": stem, "multi_grid": multi_grid, "stride_in_3x3": stride_in_3x3}
    backbone = deeplab_resnet(build, like, levels=(4, 5), norm=norm, **given)
    channels = backbone.channels[-1]
    width = channels // 4 if like == "mmsegmentation" else 256
    aspp = ASPP(
        channels,
        width,
        rates(backbone.strides[-1]),
        project_kernel=3 if like == "mmsegmentation" else 1,
        dropout=0.5 if like == "torchvision" else 0.0,
        align_corners=align_corners,
        norm=norm,
    )
    head = DeepLabV3Head(aspp, width, num_classes, refine=like == "torchvision", norm=norm)
    with_helper = like != "paper" if auxiliary is None else auxiliary
    options = {"auxiliary_weight": 0.5 if like == "torchvision" else 0.4, **options}
    return Segmenter(
        backbone,
        head,
        num_classes=num_classes,
        auxiliary=auxiliary_head(backbone, num_classes, norm) if with_helper else None,
        align_corners=align_corners,
        **options,
    )


voc = cityscapes_40k.replace(
    epochs=45, batch_size=16, lr=0.007, lr_batch_size=16, size=513, train_crop=(513, 513), lr_floor=0.0,
    weight_decay=1e-4, crop_largest_share=1.0, photometric=0.0,
)  # fmt: skip
"""§4.1: SGD 0.007 for 16 images, poly 0.9, crops of 513 pixels, scales 0.5 to 2, 30k steps on 10,582 images."""


@model("deeplabv3_r18", task="semantic_segmentation", paper="1706.05587", recipe=voc)
def deeplabv3_r18(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3 on a dilated ResNet-18."""
    return deeplabv3(resnet18, num_classes, **options)


@model("deeplabv3_r50", task="semantic_segmentation", paper="1706.05587", recipe=voc)
def deeplabv3_r50(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3 on a dilated ResNet-50."""
    return deeplabv3(resnet50, num_classes, **options)


@model("deeplabv3_r101", task="semantic_segmentation", paper="1706.05587", recipe=voc, reported={"miou": 77.21})
def deeplabv3_r101(num_classes: int = 21, **options: Any) -> Segmenter:
    """DeepLabV3 on a dilated ResNet-101."""
    return deeplabv3(resnet101, num_classes, **options)
