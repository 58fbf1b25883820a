"""The class of each pixel: a backbone, a neck where there is one, a head on its maps, and one that only trains.

B images, K classes, H x W pixels, h x w cells of a head's map.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.errors import unknown
from baimu.layers import shortcuts
from baimu.layers.contracts import Backbone
from baimu.layers.conv import init_normal
from baimu.preprocess import Preprocess, imagenet
from baimu.semantic_segmentation.pixel_losses import Average, Setting, Term, terms_of
from baimu.targets import MapTargets


class Segmenter(nn.Module):
    """``head`` makes logits (B, K, h, w) of the maps of ``backbone``, or of those that ``neck`` makes of them; they are
    interpolated to the input's size.

    ``num_classes`` counts all classes of the label map, background among them where the data names it one.
    ``auxiliary`` is a head that is only trained with, at ``auxiliary_weight``. ``loss`` names what is minimised
    (:func:`~baimu.semantic_segmentation.pixel_losses.terms_of`), the auxiliary head has its first term; ``average``
    says what sums over pixels are divided by and ``class_weights`` (K,) weigh cross entropies. ``align_corners`` says
    where interpolated pixels lie, and belongs to the weights.

    With ``window`` (a side, or height and width in pixels) an image is looked at through windows ``window_stride``
    (two thirds of the window) apart whose logits are averaged where they overlap; without, as a whole.
    """

    task = "semantic_segmentation"
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        *,
        num_classes: int,
        neck: nn.Module | None = None,
        auxiliary: nn.Module | None = None,
        auxiliary_weight: float = 0.4,
        loss: str = "cross_entropy",
        average: Average = "valid",
        class_weights: Sequence[float] | None = None,
        align_corners: bool = False,
        window: int | Sequence[int] | None = None,
        window_stride: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes counts the classes of a label map and must be at least 1, got {num_classes}")
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(f"class_weights must be {num_classes}, one a class, got {len(class_weights)}")
        if average not in ("valid", "all"):
            raise unknown("average", average, ("valid", "all"))
        self.num_classes = num_classes
        self.classes: tuple[str, ...] = tuple(f"class {i}" for i in range(num_classes))
        self.preprocess: Preprocess = imagenet.replace(size=512, max_size=2048, pad_to=1)
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.auxiliary = auxiliary
        self.auxiliary_weight = auxiliary_weight
        self.terms: tuple[Term, ...] = terms_of(loss)
        self.average: Average = average
        self.class_weights: tuple[float, ...] | None = None if class_weights is None else tuple(class_weights)
        self.align_corners = align_corners
        self.window, self.window_stride = window, window_stride

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h2 w2"]:
        """Normalised images → logits on the head's grid."""
        return self.head(self.maps(images))

    def maps(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """What the heads read, fine to coarse."""
        maps = self.backbone(images)
        return maps if self.neck is None else self.neck(maps)

    def resized(self, logits: Float[Tensor, "b k h w"], size: Sequence[int]) -> Float[Tensor, "b k h2 w2"]:
        """Float32 logits at ``size`` (height, width)."""
        return resize_maps(logits.float(), size, self.align_corners)

    def loss(self, logits: Float[Tensor, "b k h w"], targets: MapTargets) -> dict[str, Tensor]:
        """The weighted terms by name, at the labels' size."""
        return self._losses(logits, targets, self.terms)

    def _losses(self, logits: Tensor, targets: MapTargets, terms: Sequence[Term]) -> dict[str, Tensor]:
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights, dtype=torch.float32)
        setting = Setting(self.average, weights)
        logits = self.resized(logits, targets.labels.shape[1:])
        return {term.name: term.weight * term.loss(logits, targets.labels, setting) for term in terms}

    def losses(self, images: Float[Tensor, "b 3 h w"], targets: MapTargets) -> dict[str, Tensor]:
        """One training pass over normalised images, with the weighted loss of the auxiliary head."""
        if self.auxiliary is None:
            return self.loss(self(images), targets)
        maps = self.maps(images)
        losses = self.loss(self.head(maps), targets)
        (first,) = self._losses(self.auxiliary(maps), targets, self.terms[:1]).values()
        return {**losses, "auxiliary": self.auxiliary_weight * first}

    @torch.no_grad()
    def segment(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Float32 logits of every pixel of normalised images, looked at as a whole or through windows."""
        size = images.shape[2:]
        if self.window is None:
            return self.resized(self(images), size)
        window = pair(self.window)
        stride = pair(self.window_stride or tuple(math.ceil(side * 2 / 3) for side in window))
        total = images.new_zeros(len(images), self.num_classes, *size, dtype=torch.float32)
        count = torch.zeros_like(total[:1, :1])
        for rows, columns in windows(size, window, stride):
            part = images[:, :, rows, columns]
            total[:, :, rows, columns] += self.resized(self(part), part.shape[2:])
            count[:, :, rows, columns] += 1
        return total.div_(count)

    predict = shortcuts.predict
    optimize = shortcuts.optimize


def pair(sides: int | Sequence[int]) -> tuple[int, int]:
    """Height and width; a single number is both."""
    height, width = (sides, sides) if isinstance(sides, int) else sides
    return height, width


def windows(size: Sequence[int], window: tuple[int, int], stride: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of windows that cover an image of ``size``, all equally large: the last ones are moved in."""
    starts = [
        [min(i * step, max(side - length, 0)) for i in range(-(-max(side - length, 0) // step) + 1)]
        for side, length, step in zip(size, window, stride, strict=True)
    ]
    for top, left in itertools.product(*starts):
        yield slice(top, top + window[0]), slice(left, left + window[1])


def resize_maps(x: Float[Tensor, "b c h w"], size: Sequence[int], align_corners: bool) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear; without antialiasing, as all references do it."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=align_corners)


def pixel_classifier(channels: int, num_classes: int) -> nn.Conv2d:
    """The end of a head, a 1x1 convolution to logits."""
    layer = nn.Conv2d(channels, num_classes, 1)
    init_normal(layer, 0.01)
    return layer
