"""Pyramid Scene Parsing Network (Zhao, Shi, Qi, Wang, Jia 2016), arXiv 1612.01105.

What a pixel shows depends on the scene around it: the last map is averaged over grids of 1, 2, 3 and 6 cells a side,
and these four views of the whole are put beside it before anything is classified.

B images, K classes, H x W pixels, h x w cells.

Differences:

=====================  ===================================  ========================================
what                   paper and its authors' code          ``like="mmsegmentation"``
=====================  ===================================  ========================================
stem                   3x3 of 64, 64, 128                   3x3 of 32, 32, 64
dilated stages         from their first block on            from their second block on
interpolation          corners aligned                      pixel centres; corners in the weights of
                                                            769 pixels (``align_corners=True``)
heads' rate            ten times the backbone's; here as    the backbone's
                       mmsegmentation
=====================  ===================================  ========================================

Reported: mIoU 41.68 with ResNet-50, 41.96 with ResNet-101 on ADE20K val, single scale (Table 5). Of
``like="mmsegmentation"`` on Cityscapes val, mmsegmentation 1.2.2, 40k steps: 77.85 (ResNet-50).
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
from baimu.layers.pooling import mean_grid
from baimu.recipes import cityscapes_40k
from baimu.semantic_segmentation.fcn import STEM, auxiliary_head
from baimu.semantic_segmentation.segmenter import Segmenter, pixel_classifier, resize_maps
from baimu.zoo import model

GRIDS = (1, 2, 3, 6)
"""Cells a side of each view (§3.2)."""


class PyramidPooling(nn.Module):
    """The map and its means over ``grids``, each projected to its share of the channels and interpolated back (Fig. 3):
    C channels become 2 C."""

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        grids: Sequence[int] = GRIDS,
        align_corners: bool = False,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        self.grids, self.align_corners = tuple(grids), align_corners
        self.views = nn.ModuleList(ConvNorm(channels, width, 1, norm=norm) for _ in self.grids)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        size = x.shape[2:]
        views = [
            resize_maps(view(mean_grid(x, grid)), size, self.align_corners)
            for grid, view in zip(self.grids, self.views, strict=True)
        ]
        return torch.cat([x, *views], 1)


class PSPHead(nn.Module):
    """Pyramid pooling of the last map, a 3x3 convolution and the classifier."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        num_classes: int,
        *,
        grids: Sequence[int] = GRIDS,
        align_corners: bool = False,
        dropout: float = 0.1,
        norm: Norm = sync_batch_norm,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.pyramid = PyramidPooling(in_channels, width, grids=grids, align_corners=align_corners, norm=norm)
        self.join = ConvNorm(in_channels + len(self.pyramid.grids) * width, width, norm=norm)
        init_fan_out(self)
        self.classify = pixel_classifier(width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.join(self.pyramid(maps[-1]))
        return self.classify(F.dropout2d(x, self.dropout, self.training))


def pspnet(
    build: Callable[..., ResNet],
    num_classes: int,
    *,
    like: str = "paper",
    output_stride: int = 8,
    stem: Sequence[int] | None = None,
    stride_in_3x3: bool = True,
    align_corners: bool | None = None,
    norm: Norm = sync_batch_norm,
    auxiliary: bool = True,
    **options: Any,
) -> Segmenter:
    """PSPNet on a dilated ResNet, without ``auxiliary`` for inference alone. Weights of mmsegmentation need
    ``like="mmsegmentation"``; ``options`` are those of :class:`~baimu.semantic_segmentation.segmenter.Segmenter`."""
    if like not in ("paper", "mmsegmentation"):
        raise unknown("definitions to be like", like, ("paper", "mmsegmentation"))
    own = like == "paper"
    backbone = build(
        out=(4, 5),
        norm=norm,
        stem=tuple(stem or ((64, 64, 128) if own else STEM)),
        output_stride=output_stride,
        dilate_from=1 if own else 2,
        stride_in_3x3=stride_in_3x3,
    )
    aligned = own if align_corners is None else align_corners
    channels = backbone.channels[-1]
    head = PSPHead(channels, channels // 4, num_classes, align_corners=aligned, norm=norm)
    helper = auxiliary_head(backbone, num_classes, norm) if auxiliary else None
    return Segmenter(backbone, head, num_classes=num_classes, auxiliary=helper, align_corners=aligned, **options)


ade20k = cityscapes_40k.replace(
    epochs=100, batch_size=16, lr_batch_size=16, weight_decay=1e-4, size=512, train_crop=(473, 473), lr_floor=0.0
)
"""§4.1 and the authors' code: SGD 0.01 for 16 images, poly 0.9, decay 1e-4, crops of 473 pixels, 100 epochs."""


@model("pspnet_r18", task="semantic_segmentation", paper="1612.01105", recipe=ade20k)
def pspnet_r18(num_classes: int = 150, **options: Any) -> Segmenter:
    """PSPNet on a dilated ResNet-18."""
    return pspnet(resnet18, num_classes, **options)


@model("pspnet_r50", task="semantic_segmentation", paper="1612.01105", recipe=ade20k, reported={"miou": 41.68})
def pspnet_r50(num_classes: int = 150, **options: Any) -> Segmenter:
    """PSPNet on a dilated ResNet-50."""
    return pspnet(resnet50, num_classes, **options)


@model("pspnet_r101", task="semantic_segmentation", paper="1612.01105", recipe=ade20k, reported={"miou": 41.96})
def pspnet_r101(num_classes: int = 150, **options: Any) -> Segmenter:
    """PSPNet on a dilated ResNet-101."""
    return pspnet(resnet101, num_classes, **options)
