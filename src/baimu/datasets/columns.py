"""The objects of a detection data set, one array a field, and where each stands in its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baimu.datasets.flat import Texts
from baimu.datasets.outlines import Outlines


@dataclass(frozen=True, eq=False)
class Columns:
    """T objects, one array a field; see :class:`~baimu.datasets.source.Objects`."""

    boxes: np.ndarray  # (T, 4) float, xyxy source pixels
    labels: np.ndarray  # (T,) int64
    crowd: np.ndarray  # (T,) bool
    areas: np.ndarray  # (T,) float, NaN where the annotation has none
    ids: np.ndarray  # (T,) int64
    outlines: Outlines | None = None
    numbers: np.ndarray | None = None  # (T,) int64, of each in its file: line, place or id; for messages

    def take(self, indices: np.ndarray) -> Columns:
        outlines = None if self.outlines is None else self.outlines.take(indices)
        numbers = None if self.numbers is None else self.numbers[indices]
        boxes, labels, crowd, areas, ids = (array[indices] for array in self.arrays)
        return Columns(boxes, labels, crowd, areas, ids, outlines, numbers)

    def joined(self, other: Columns) -> Columns:
        outlines = None
        if self.outlines is not None and other.outlines is not None:
            outlines = self.outlines.joined(other.outlines)
        pairs = zip(self.arrays, other.arrays, strict=True)
        boxes, labels, crowd, areas, ids = (np.concatenate(pair) for pair in pairs)
        numbers = None
        if self.numbers is not None and other.numbers is not None:
            numbers = np.concatenate([self.numbers, other.numbers])
        return Columns(boxes, labels, crowd, areas, ids, outlines, numbers)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All but the outlines and numbers."""
        return self.boxes, self.labels, self.crowd, self.areas, self.ids


@dataclass(frozen=True, eq=False)
class Records:
    """Where annotations stand: what one is called in its file (``annotation``, ``line`` or ``object``), and the files,
    one an image, or one for all."""

    word: str
    files: Texts

    def file(self, index: int) -> str:
        """That of an image."""
        return self.files[index if len(self.files) > 1 else 0]

    def spread(self, count: int) -> list[str]:
        """Those of ``count`` images."""
        return [self.file(index) for index in range(count)]
