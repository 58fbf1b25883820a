"""The one thing that loaders, metrics and pictures ask of a data set, whatever its files look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

S = TypeVar("S")


@dataclass(frozen=True)
class Objects:
    """The annotated objects of one image, in source pixels; n may be 0.

    ``boxes`` (n, 4) float32 xyxy; ``labels`` (n,) int64 in 0…K−1; ``crowd`` (n,) bool: COCO's iscrowd or VOC's
    difficult, which neither train nor count as misses; ``areas`` (n,) float32 square pixels (COCO's own where it
    has one); ``ids`` (n,) int64 annotation ids; ``masks`` (n, H, W) bool or None.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    ids: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set: the file, the record in it, what is wrong, and what was done."""

    file: str
    record: str  # "annotation 17", "line 3", "object 2 (RBC)", or "" for the whole file
    problem: str
    action: str  # "annotation skipped", "box clipped to the image", …

    def __str__(self) -> str:
        return f"{self.file}{', ' if self.record else ''}{self.record}: {self.problem} ({self.action})"


@runtime_checkable
class ImageSource(Protocol):
    """Images of named classes, by index: what the data sets of all tasks have. Cheap to send to worker processes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels 0…K−1."""
        ...

    @property
    def problems(self) -> Sequence[Problem]: ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """File path or scene name, for messages and results."""
        ...

    def image_id(self, index: int) -> int | str:
        """The data set's own id of the image."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """Height, width of the image as decoded (EXIF orientation applied)."""
        ...

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """RGB uint8 (H, W, 3). With ``at_least``, a JPEG may come at 1/2, 1/4 or 1/8 scale as long as its shorter
        side stays >= ``at_least`` pixels; ``size`` still tells the full one. Raises
        :class:`~baimu.errors.ImageError`."""
        ...


@runtime_checkable
class DetectionSource(ImageSource, Protocol):
    """Images with objects."""

    @property
    def category_ids(self) -> Sequence[int]:
        """The data set's own id of each label, for writing results."""
        ...

    def objects(self, index: int) -> Objects: ...

    def select(self, indices: Sequence[int]) -> DetectionSource:
        """The subset of these images, in this order."""
        ...


@runtime_checkable
class ClassificationSource(ImageSource, Protocol):
    """Images with labels: one each, or with ``multi_label`` any number."""

    @property
    def multi_label(self) -> bool: ...

    def labels(self, index: int) -> np.ndarray:
        """The image's labels, int64 in 0…K−1: exactly one unless ``multi_label``."""
        ...

    def unknown(self, index: int) -> np.ndarray:
        """The labels of which nobody knows whether the image has them, int64; none unless ``multi_label``."""
        ...

    def select(self, indices: Sequence[int]) -> ClassificationSource:
        """The subset of these images, in this order."""
        ...


class Splits(NamedTuple, Generic[S]):
    """A data set opened for training: what is learned from and what is measured on, sources of one kind."""

    train: S
    val: S
