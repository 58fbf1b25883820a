"""Strings and problems in flat numpy arrays: no Python object an entry, so that worker processes share the memory.

A list of a million Python strings is copied page by page into every forked worker, because reading a string writes
its reference count. An array's content is only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from baimu.datasets.source import Problem

FIELDS = 5  # texts of a problem
_NO_BOX = (np.nan,) * 4


def ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The concatenation of ``arange(first[i], first[i] + count[i])``, int64."""
    ends = np.cumsum(count)
    shift = np.repeat(first - (ends - count), count)
    return np.arange(ends[-1] if len(ends) else 0, dtype=np.int64) + shift


class Texts(Sequence[str]):
    """Immutable strings: one byte buffer and a span for each."""

    def __init__(self, buffer: np.ndarray, spans: np.ndarray) -> None:
        self._buffer, self._spans = buffer, spans

    @classmethod
    def of(cls, strings: Iterable[str]) -> Texts:
        encoded = [s.encode("utf-8", "surrogatepass") for s in strings]  # file names need not be valid UTF-8
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.stack([ends[:-1], ends[1:]], 1))

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: Any) -> Any:
        start, stop = self._spans[index]
        return self._buffer[start:stop].tobytes().decode("utf-8", "surrogatepass")

    def take(self, indices: np.ndarray) -> Texts:
        """Those of ``indices``, sharing the buffer."""
        return Texts(self._buffer, self._spans[indices])


class Problems(Sequence[Problem]):
    """What is wrong with a data set; each entry may belong to an image (its index) or to none (−1).

    ``texts`` are five an entry, ``boxes`` (N, 4) NaN where it speaks of none.
    """

    def __init__(self, texts: Texts, images: np.ndarray, boxes: np.ndarray) -> None:
        self._texts, self._images, self._boxes = texts, images, boxes

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        box = self._boxes[index]
        words = (self._texts[FIELDS * index + k] for k in range(FIELDS))
        return Problem(*words, box=None if np.isnan(box[0]) else tuple(box.tolist()))

    def image(self, index: int) -> int:
        """The image that an entry belongs to, −1 for none."""
        return int(self._images[index])

    def for_images(self, indices: np.ndarray, length: int) -> Problems:
        """Those of the images ``indices`` (of ``length``), renumbered, and those that belong to no image."""
        place = np.full(length + 1, -1, np.int64)  # the last entry answers for image −1
        place[indices] = np.arange(len(indices))
        keep = np.flatnonzero((self._images < 0) | (place[self._images] >= 0))
        texts = self._texts.take((FIELDS * keep[:, None] + np.arange(FIELDS)).ravel())
        return Problems(texts, place[self._images[keep]], self._boxes[keep])

    def joined(self, other: Problems, length: int) -> Problems:
        """These, and those of a data set whose images come after these ``length``."""
        texts = Texts.of([*self._texts, *other._texts])
        images = np.concatenate([self._images, np.where(other._images < 0, -1, other._images + length)])
        return Problems(texts, images, np.concatenate([self._boxes, other._boxes]))


class ProblemLog:
    """Collects problems while a data set is read."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._images: list[int] = []
        self._boxes: list[Sequence[float]] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(
        self,
        file: str,
        record: str,
        problem: str,
        action: str,
        *,
        image: int = -1,
        code: str = "",
        box: Sequence[float] | None = None,
    ) -> None:
        self._texts += [file, record, problem, action, code]
        self._images.append(image)
        self._boxes.append(_NO_BOX if box is None or not np.isfinite(box).all() else box)

    def renumber(self, place: np.ndarray) -> None:
        """Image ``i`` becomes ``place[i]``; −1 for an image that is left out."""
        self._images = [int(place[i]) if i >= 0 else -1 for i in self._images]

    def problems(self) -> Problems:
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        return Problems(Texts.of(self._texts), np.array(self._images, np.int64), boxes)
