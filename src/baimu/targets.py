"""What goes into a network: padded targets and the batch. Dims: B images, M objects (padded), H x W input pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
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
    sizes: None = None  # all images of a batch have its size

    def to(self, device: torch.device | str) -> ClassTargets:
        return ClassTargets(self.shares.to(device, non_blocking=True))

    def pin_memory(self) -> ClassTargets:
        return ClassTargets(self.shares.pin_memory())


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
