"""U-Net: Convolutional Networks for Biomedical Image Segmentation (Ronneberger, Fischer, Brox 2015), arXiv 1505.04597.

A path that halves the map again and again, and one that doubles it and joins it each time with the equally fine map of
the first: context from below, places from the side. It learns from few images.

B images, K classes, H x W pixels, h x w cells.

``unet`` is the paper's. ``unet_s5_d16`` is mmsegmentation's, which keeps the size of its maps. ``unet_r18``,
``unet_r34`` and ``unet_r50`` have a ResNet as the path down, which may come trained on ImageNet, and a light path up.

Differences:

=====================  =========================  =========================  ====================  ====================
what                   paper                      ``unet``                   ``unet_s5_d16``       ``unet_r*``
=====================  =========================  =========================  ====================  ====================
input                  one grey channel           three                      three                 three
3x3 convolutions       lose their border: 572     the same                   keep the size         keep the size
                       pixels in, 388 out
border of the image    mirrored, tile by tile     mirrored by the network    zeros                 zeros
norm                   none                       none                       batch norm            batch norm
doubling               2x2 transposed             the same                   bilinear, 1x1         nearest cell
widths                 64 … 1024                  the same                   the same              16 … 256, and the
                                                                                                   ResNet's
head                   1x1                        1x1                        3x3, 1x1; another     1x1
                                                                             on the second map
                                                                             that only trains
loss                   cross entropy with a       ``border_weight=10`` has   cross entropy         cross entropy
                       weight between cells       it; plain otherwise
=====================  =========================  =========================  ====================  ====================

Reported: of ``unet_s5_d16`` mIoU 69.10 on Cityscapes val (mmsegmentation 1.2.2, 160k steps); the paper's IoU 0.9203 is
of one class of cells (PhC-U373).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet34, resnet50
from baimu.layers.conv import ConvNorm, init_fan_out
from baimu.layers.norm import Norm, sync_batch_norm
from baimu.losses.pixels import pixel_cross_entropy_loss
from baimu.recipes import cityscapes_40k
from baimu.semantic_segmentation.fcn import FCNHead
from baimu.semantic_segmentation.segmenter import Segmenter, pixel_classifier
from baimu.targets import UNDECIDED, MapTargets
from baimu.zoo import model

WIDTHS = (64, 128, 256, 512, 1024)


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions; without ``padding`` the map loses two cells at each side."""

    def __init__(self, in_channels: int, width: int, norm: Norm | None, padding: int = 1) -> None:
        super().__init__(
            ConvNorm(in_channels, width, padding=padding, norm=norm),
            ConvNorm(width, width, padding=padding, norm=norm),
        )


class Contracting(nn.Module):
    """The path down: maps of ``widths`` channels, of strides 1, 2, 4, …, two convolutions each and poolings between."""

    def __init__(
        self, widths: Sequence[int] = WIDTHS, *, padding: int = 1, norm: Norm | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.channels = tuple(widths)
        self.strides = tuple(2**i for i in range(len(widths)))
        self.dropout = dropout  # of the coarsest map
        pairs = itertools.pairwise((3, *widths))
        self.stages = nn.ModuleList(DoubleConv(before, width, norm, padding) for before, width in pairs)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(F.max_pool2d(maps[-1], 2) if maps else images))
        maps[-1] = F.dropout(maps[-1], self.dropout, self.training)
        return maps


class Up(NamedTuple):
    """One way to double a map."""

    make: Callable[[int, int, Norm | None], nn.Module]  # (in, out, norm) → what the coarse map passes
    channels: Callable[[int, int], int]  # what comes out of it
    mode: str | None  # of the interpolation before it; None: it doubles the map itself
    first: bool  # the fine map comes first where the two are joined


TRANSPOSED = Up(lambda a, b, norm: nn.ConvTranspose2d(a, b, 2, 2), lambda a, b: b, None, True)
BILINEAR = Up(lambda a, b, norm: ConvNorm(a, b, 1, norm=norm), lambda a, b: b, "bilinear", True)
NEAREST = Up(lambda a, b, norm: nn.Identity(), lambda a, b: a, "nearest", False)


class Expanding(nn.Module):
    """The path up, a neck: from maps fine to coarse to as many of ``widths`` channels, the coarsest as it is.

    With ``widths`` one longer than there are maps to join, a last step doubles the finest one without a partner.
    """

    def __init__(
        self, channels: Sequence[int], widths: Sequence[int], up: Up, *, padding: int = 1, norm: Norm | None = None
    ) -> None:
        super().__init__()
        alone = len(widths) - len(channels) + 1  # steps without a partner
        skips = [*[0] * alone, *channels[:-1]]
        self.up, self.alone = up, alone
        self.order = tuple(reversed(range(len(widths))))  # the coarsest step first
        self.channels = (*widths, channels[-1])
        below = (*widths[1:], channels[-1])
        self.ups = nn.ModuleList(up.make(a, b, norm) for a, b in zip(below, widths, strict=True))
        self.joins = nn.ModuleList(
            DoubleConv(up.channels(a, b) + skip, b, norm, padding)
            for a, b, skip in zip(below, widths, skips, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        x, out = maps[-1], [maps[-1]]
        for i in self.order:
            skip = maps[i - self.alone] if i >= self.alone else None
            x = self.joins[i](self._joined(self.ups[i], x, skip))
            out.append(x)
        return out[::-1]

    def _joined(self, layer: nn.Module, x: Tensor, skip: Tensor | None) -> Tensor:
        if self.up.mode is not None:
            size = [2 * side for side in x.shape[2:]] if skip is None else skip.shape[2:]
            x = F.interpolate(x, tuple(size), mode=self.up.mode, **self._aligned())
        x = layer(x)
        if skip is None:
            return x
        return torch.cat([middle(skip, x.shape[2:]), x] if self.up.first else [x, skip], 1)

    def _aligned(self) -> dict[str, bool]:
        return {} if self.up.mode == "nearest" else {"align_corners": False}


def middle(x: Float[Tensor, "b c h w"], size: Sequence[int]) -> Float[Tensor, "b c h2 w2"]:
    """The middle ``size`` cells of a map that is at least as large."""
    top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


class PointHead(nn.Module):
    """The classifier on the finest map, nothing else."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classify = pixel_classifier(channels, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.classify(maps[0])


class UNet(Segmenter):
    """The paper's network: convolutions lose their border, so images are mirrored around theirs first (§2, §3), and
    every pixel has logits. ``border_weight`` as of :func:`border_weights`, 0 for none; five ``widths``."""

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = WIDTHS,
        border_weight: float = 0.0,
        dropout: float = 0.5,
        **options: Any,
    ) -> None:
        if len(widths) != len(WIDTHS):
            raise ValueError(f"widths must be {len(WIDTHS)}, one of each level, got {tuple(widths)}")
        backbone = Contracting(widths, padding=0, dropout=dropout)
        neck = Expanding(widths, widths[:-1], TRANSPOSED, padding=0)
        for layer in (*backbone.modules(), *neck.modules()):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # §3: by what comes in
        super().__init__(backbone, PointHead(widths[0], num_classes), num_classes=num_classes, neck=neck, **options)
        self.border_weight = border_weight

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Normalised images → logits of their pixels."""
        height, width = images.shape[2:]
        rows, columns = (mirrored(side, input_side(side), images.device) for side in (height, width))
        wide = images.index_select(2, rows).index_select(3, columns)
        return middle(self.head(self.maps(wide)), (height, width))

    def loss(self, logits: Float[Tensor, "b k h w"], targets: MapTargets) -> dict[str, Tensor]:
        """With a border weight, the cross entropy times that of each pixel (Eq. 1)."""
        if not self.border_weight:
            return super().loss(logits, targets)
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        losses = pixel_cross_entropy_loss(logits, targets.labels, weights)
        maps = [border_weights(labels.cpu().numpy(), self.border_weight) for labels in targets.labels]
        losses = losses * (1 + torch.from_numpy(np.stack(maps)).to(losses))
        return {"cross_entropy": losses.sum() / (targets.labels != UNDECIDED).sum().clamp(min=1)}


def input_side(side: int) -> int:
    """The least input of four poolings without a remainder whose output, 184 pixels less, holds ``side`` of them."""
    return 16 * ((side + 139) // 16) + 60  # rounded up without a negative number, which ONNX divides towards 0


def mirrored(side: int, wide: int, device: torch.device) -> Integer[Tensor, " w"]:
    """Of ``wide`` pixels with ``side`` in their middle the ones they show: beyond an edge the picture goes back."""
    place = torch.arange(wide, device=device) - (wide - side) // 2
    if side == 1:
        return torch.zeros_like(place)
    return side - 1 - (place.remainder(2 * side - 2) - (side - 1)).abs()


def border_weights(labels: np.ndarray, weight: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """``weight exp(−(d1 + d2)² / 2 sigma²)`` (H, W) float32, d1 and d2 a pixel's distances to the two nearest cells
    (Eq. 2): what parts cells that nearly touch counts most. Cells are the connected parts of the classes from 1 on."""
    from scipy import ndimage

    cells: list[np.ndarray] = []
    for k in sorted(set(np.unique(labels).tolist()) - {0, UNDECIDED}):
        marks: Any = np.asarray(ndimage.label(labels == k)[0])  # pyright: ignore[reportGeneralTypeIssues, reportIndexIssue]
        cells += [marks == number for number in range(1, int(marks.max()) + 1)]
    if len(cells) < 2:
        return np.zeros(labels.shape, np.float32)
    distances: Any = np.stack([np.asarray(ndimage.distance_transform_edt(~cell)) for cell in cells])
    nearest = np.partition(distances, 1, axis=0)[:2].sum(0)
    return (weight * np.exp(-(nearest**2) / (2 * sigma**2)) * (labels == 0)).astype(np.float32)


def unet_resnet(
    build: Callable[..., ResNet],
    num_classes: int,
    *,
    widths: Sequence[int] = (16, 32, 64, 128, 256),
    stride_in_3x3: bool = True,
    norm: Norm = sync_batch_norm,
    **options: Any,
) -> Segmenter:
    """U-Net on a ResNet; ``widths`` of the path up, from stride 1 to 16. ``options`` are those of
    :class:`~baimu.semantic_segmentation.segmenter.Segmenter`."""
    backbone = build(out=(1, 2, 3, 4, 5), norm=norm, stride_in_3x3=stride_in_3x3)
    neck = Expanding(backbone.channels, widths, NEAREST, norm=norm)
    init_fan_out(neck)
    return Segmenter(backbone, PointHead(widths[0], num_classes), num_classes=num_classes, neck=neck, **options)


cells = cityscapes_40k.replace(
    epochs=200, batch_size=1, momentum=0.99, lr=1e-3, lr_batch_size=None, schedule="constant", weight_decay=0.0,
    size=512, train_crop=(388, 388), crop_largest_share=1.0, photometric=0.0,
)  # fmt: skip
"""§3: one image a step, momentum 0.99. The paper gives neither rate nor length; here 0.001 and 200 passes."""


@model("unet", task="semantic_segmentation", paper="1505.04597", recipe=cells)
def unet(num_classes: int = 2, **options: Any) -> UNet:
    """U-Net as published: convolutions that lose their border."""
    return UNet(num_classes, **options)


@model("unet_s5_d16", task="semantic_segmentation", paper="1505.04597", recipe=cityscapes_40k, reported={"miou": 69.10})
def unet_s5_d16(
    num_classes: int = 19, *, widths: Sequence[int] = WIDTHS, norm: Norm = sync_batch_norm, **options: Any
) -> Segmenter:
    """U-Net that keeps the size of its maps, with batch norm and an auxiliary head."""
    backbone = Contracting(widths, norm=norm)
    neck = Expanding(widths, widths[:-1], BILINEAR, norm=norm)
    init_fan_out(backbone)
    init_fan_out(neck)
    head, helper = (
        FCNHead(channels, widths[0], num_classes, convs=1, joined=False, level=level, norm=norm)
        for level, channels in enumerate(widths[:2])
    )
    return Segmenter(backbone, head, num_classes=num_classes, neck=neck, auxiliary=helper, **options)


@model("unet_r18", task="semantic_segmentation", paper="1505.04597", recipe=cityscapes_40k)
def unet_r18(num_classes: int = 19, **options: Any) -> Segmenter:
    """U-Net with ResNet-18 as its path down."""
    return unet_resnet(resnet18, num_classes, **options)


@model("unet_r34", task="semantic_segmentation", paper="1505.04597", recipe=cityscapes_40k)
def unet_r34(num_classes: int = 19, **options: Any) -> Segmenter:
    """U-Net with ResNet-34 as its path down."""
    return unet_resnet(resnet34, num_classes, **options)


@model("unet_r50", task="semantic_segmentation", paper="1505.04597", recipe=cityscapes_40k)
def unet_r50(num_classes: int = 19, **options: Any) -> Segmenter:
    """U-Net with ResNet-50 as its path down."""
    return unet_resnet(resnet50, num_classes, **options)
