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
    """One thing that is wrong with a data set: the file, the record in it, what is wrong, and what was done.

    ``code`` is the rule it breaks (docs/data_rules.md), ``box`` the xyxy pixels it speaks of, where there are any.
    """

    file: str
    record: str  # "annotation 17", "line 3", "object 2 (RBC)", or "" for the whole file
    problem: str
    action: str  # "annotation skipped", "box clipped to the image", …
    code: str = ""
    box: tuple[float, ...] | None = None

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


class Shown(NamedTuple):
    """Whom an image shows, and what it is for when a search is scored."""

    identity: int  # 0…K−1 into the names; −1 where nobody knows
    camera: int = -1  # −1 where it is not told; an image of the query's identity *and* camera is no answer
    query: bool = True  # it is looked for
    gallery: bool = True  # it may be found


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images that a verification protocol names, by their positions; P may not be 0."""

    first: np.ndarray  # (P,) int64
    second: np.ndarray  # (P,) int64
    same: np.ndarray  # (P,) bool: of one identity
    fold: np.ndarray  # (P,) int64, the part of a cross-validation that each belongs to


@runtime_checkable
class IdentitySource(ImageSource, Protocol):
    """Images of identities, whose names are ``classes``. Those of two splits need have none in common."""

    @property
    def pairs(self) -> Pairs | None:
        """Those that verification is scored on; ``None`` where the data name none."""
        ...

    def shown(self, index: int) -> Shown: ...

    def select(self, indices: Sequence[int]) -> IdentitySource:
        """The subset of these images, in this order; ``classes`` are those that are left."""
        ...


@runtime_checkable
class PairSource(ImageSource, Protocol):
    """Images with what they are to become; ``image`` is the input alone."""

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The input, and what it is to become: RGB uint8 (H, W, 3)."""
        ...

    def select(self, indices: Sequence[int]) -> PairSource:
        """The subset of these pairs, in this order."""
        ...


@runtime_checkable
class ReadingSource(ImageSource, Protocol):
    """Lines of text; their characters are the classes."""

    def text(self, index: int) -> str:
        """What stands in the line."""
        ...

    def select(self, indices: Sequence[int]) -> ReadingSource:
        """The subset of these lines, in this order."""
        ...


@runtime_checkable
class TextSource(Protocol):
    """Texts of named classes, by index: no images at all. Cheap to send to worker processes."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def multi_label(self) -> bool: ...

    @property
    def problems(self) -> Sequence[Problem]: ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """File and line, for messages and results."""
        ...

    def text(self, index: int) -> str: ...

    def labels(self, index: int) -> np.ndarray:
        """As of :class:`ClassificationSource`."""
        ...

    def unknown(self, index: int) -> np.ndarray: ...

    def select(self, indices: Sequence[int]) -> TextSource:
        """The subset of these texts, in this order."""
        ...


@runtime_checkable
class SegmentationSource(ImageSource, Protocol):
    """Images with the class of each pixel; background is a class like the others, where there is any."""

    def label_map(self, index: int) -> np.ndarray:
        """(H, W) uint8 of the image's ``size``: labels 0…K−1, and 255 where nobody knows. Raises
        :class:`~baimu.errors.DataError`."""
        ...

    def select(self, indices: Sequence[int]) -> SegmentationSource:
        """The subset of these images, in this order."""
        ...


@runtime_checkable
class SequenceSource(ImageSource, Protocol):
    """Series of frames with one object each to follow; an image is a series, and its picture the first frame.

    Boxes are xyxy in pixels of the frame, float64, NaN in frames where the object is not there or not annotated.
    """

    def frames(self, index: int) -> int:
        """How many there are."""
        ...

    def frame(self, index: int, number: int) -> np.ndarray:
        """RGB uint8 (H, W, 3) of frame ``number``, from 0. Raises :class:`~baimu.errors.ImageError`."""
        ...

    def box(self, index: int, number: int) -> np.ndarray:
        """(4,): where the object is in that frame."""
        ...

    def select(self, indices: Sequence[int]) -> SequenceSource:
        """The subset of these series, in this order."""
        ...


class Splits(NamedTuple, Generic[S]):
    """A data set opened for training: what is learned from and what is measured on, sources of one kind."""

    train: S
    val: S
