"""What goes into a network: padded targets and the batch. Dims: B images, M objects (padded), H x W input pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Integer, UInt8
from torch import Tensor

from baimu.preprocess import Frame


@dataclass(frozen=True)
class Targets:
    """The objects of a batch, padded to the same count M >= 1.

    Boxes are xyxy in input pixels, float32, continuous coordinates; labels are 0…K−1 and −1 on padding (whose
    boxes are zero). ``sizes`` are the valid (height, width) of each image; what lies beyond is padding. Crowd and
    difficult objects are not in here: they do not train, and the metric reads them from the data set.
    """

    boxes: Float[Tensor, "b m 4"]
    labels: Int[Tensor, "b m"]
    sizes: Int[Tensor, "b 2"]
    masks: list[Tensor] | None = None  # one bool (n, H, W) an image, n its real objects

    @classmethod
    def collate(
        cls,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        masks: list[Tensor] | None = None,
    ) -> Targets:
        """Pad per-image boxes (n, 4) and labels (n,) to one tensor each; images without objects are welcome."""
        count = max([1, *(len(b) for b in boxes)])
        padded_boxes = torch.zeros(len(boxes), count, 4)
        padded_labels = torch.full((len(boxes), count), -1, dtype=torch.int64)
        for i, (b, l) in enumerate(zip(boxes, labels, strict=True)):
            padded_boxes[i, : len(b)] = b
            padded_labels[i, : len(l)] = l
        return cls(padded_boxes, padded_labels, torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2), masks)

    @property
    def valid(self) -> Tensor:
        """(B, M) bool, true on real objects."""
        return self.labels >= 0

    def to(self, device: torch.device | str) -> Targets:
        masks = None if self.masks is None else [m.to(device, non_blocking=True) for m in self.masks]
        boxes, labels, sizes = (t.to(device, non_blocking=True) for t in (self.boxes, self.labels, self.sizes))
        return Targets(boxes, labels, sizes, masks)

    def pin_memory(self) -> Targets:
        masks = None if self.masks is None else [m.pin_memory() for m in self.masks]
        return Targets(self.boxes.pin_memory(), self.labels.pin_memory(), self.sizes.pin_memory(), masks)


@dataclass(frozen=True)
class ClassTargets:
    """What each class has of an image: 1 for its label, less where images were mixed or labels smoothed, 1 for each of
    several labels; −1 where nobody knows, which does not train.
    """

    shares: Float[Tensor, "b k"]
    sizes: ClassVar[None] = None  # all images of a batch have its size

    def to(self, device: torch.device | str) -> ClassTargets:
        return ClassTargets(self.shares.to(device, non_blocking=True))

    def pin_memory(self) -> ClassTargets:
        return ClassTargets(self.shares.pin_memory())


UNDECIDED = 255
"""In a label map: a pixel of which nobody knows, or should ask, what it shows."""


@dataclass(frozen=True)
class MapTargets:
    """What each pixel shows: 0…K−1, or 255 where it is undecided or padding.

    ``sizes`` are the valid (height, width) of each image; what lies beyond is padding.
    """

    labels: Integer[Tensor, "b h w"]  # uint8
    sizes: Int[Tensor, "b 2"]

    def to(self, device: torch.device | str) -> MapTargets:
        return MapTargets(*(t.to(device, non_blocking=True) for t in (self.labels, self.sizes)))

    def pin_memory(self) -> MapTargets:
        return MapTargets(self.labels.pin_memory(), self.sizes.pin_memory())


@dataclass(frozen=True, eq=False)
class ImageTargets:
    """What input images are to become, or of two domains the images of the other: uint8 RGB, of one size.

    ``made`` is where a phase of a training step leaves what it made for the phases that follow on the same batch.
    """

    images: UInt8[Tensor, "b 3 h w"]
    sizes: ClassVar[None] = None  # all images of a batch have its size
    made: dict[str, Any] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> ImageTargets:
        return ImageTargets(self.images.to(device, non_blocking=True))

    def pin_memory(self) -> ImageTargets:
        return ImageTargets(self.images.pin_memory())


@dataclass(frozen=True)
class IdTargets:
    """Whom each image shows, 0…K−1 of the identities that are learned; −1 where nobody knows, which does not train."""

    ids: Int[Tensor, " b"]
    sizes: ClassVar[None] = None  # all images of a batch have its size

    def to(self, device: torch.device | str) -> IdTargets:
        return IdTargets(self.ids.to(device, non_blocking=True))

    def pin_memory(self) -> IdTargets:
        return IdTargets(self.ids.pin_memory())


@dataclass(frozen=True)
class TextTargets:
    """What stands in the lines of a batch, padded to the same length L >= 1: characters 0…K−1, then −1.

    ``sizes`` are the valid (height, width) of each line; what lies beyond is padding.
    """

    labels: Int[Tensor, "b l"]
    sizes: Int[Tensor, "b 2"]

    @classmethod
    def collate(cls, labels: Sequence[Sequence[int]], sizes: Sequence[tuple[int, int]]) -> TextTargets:
        """Pad the characters of each line; a line without any is welcome."""
        padded = torch.full((len(labels), max([1, *map(len, labels)])), -1, dtype=torch.int64)
        for row, own in zip(padded, labels, strict=True):
            row[: len(own)] = torch.tensor(own, dtype=torch.int64)
        return cls(padded, torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2))

    def to(self, device: torch.device | str) -> TextTargets:
        return TextTargets(*(t.to(device, non_blocking=True) for t in (self.labels, self.sizes)))

    def pin_memory(self) -> TextTargets:
        return TextTargets(self.labels.pin_memory(), self.sizes.pin_memory())


@dataclass(frozen=True)
class PairTargets:
    """What the search images of a tracker are compared with, and where the target lies in each.

    ``exemplars`` are RGB and not normalised; ``boxes`` are xyxy in pixels of the search image. A pair that is not
    ``positive`` shows two objects, and its box is that of the one in the search image.
    """

    exemplars: UInt8[Tensor, "b 3 s s"]
    boxes: Float[Tensor, "b 4"]
    positive: Bool[Tensor, " b"]
    sizes: ClassVar[None] = None  # all images of a batch have its size

    def to(self, device: torch.device | str) -> PairTargets:
        return PairTargets(*(t.to(device, non_blocking=True) for t in (self.exemplars, self.boxes, self.positive)))

    def pin_memory(self) -> PairTargets:
        return PairTargets(*(t.pin_memory() for t in (self.exemplars, self.boxes, self.positive)))


@dataclass(frozen=True)
class Batch:
    """What the network is given, its targets, and where each of them came from.

    ``inputs`` are what the model's ``preprocess.normalize`` takes: of images uint8 RGB (B, 3, H, W).
    """

    inputs: Tensor
    targets: Any  # Targets, or those of another task, which move and pin themselves
    frames: list[Frame]  # of images; else empty
    names: list[str]  # file or scene names, for messages
    indices: list[int] = field(default_factory=list)  # positions in the data set

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        inputs = self.inputs.to(device, non_blocking=True)
        return Batch(inputs, self.targets.to(device), self.frames, self.names, self.indices)

    def pin_memory(self) -> Batch:
        return Batch(self.inputs.pin_memory(), self.targets.pin_memory(), self.frames, self.names, self.indices)
