"""Strings and problems in flat numpy arrays: no Python object an entry, so that worker processes share the memory.

A list of a million Python strings is copied page by page into every forked worker, because reading a string writes
its reference count. An array's content is only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from baimu.datasets.source import Problem


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
    """What is wrong with a data set; each entry may belong to an image (its index) or to none (−1)."""

    def __init__(self, texts: Texts, images: np.ndarray) -> None:
        self._texts, self._images = texts, images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return Problem(*(self._texts[4 * index + k] for k in range(4)))

    def for_images(self, indices: np.ndarray, length: int) -> Problems:
        """Those of the images ``indices`` (of ``length``), renumbered, and those that belong to no image."""
        place = np.full(length + 1, -1, np.int64)  # the last entry answers for image −1
        place[indices] = np.arange(len(indices))
        keep = np.flatnonzero((self._images < 0) | (place[self._images] >= 0))
        return Problems(self._texts.take((4 * keep[:, None] + np.arange(4)).ravel()), place[self._images[keep]])

    def joined(self, other: Problems, length: int) -> Problems:
        """These, and those of a data set whose images come after these ``length``."""
        texts = Texts.of([*self._texts, *other._texts])
        return Problems(texts, np.concatenate([self._images, np.where(other._images < 0, -1, other._images + length)]))


class ProblemLog:
    """Collects problems while a data set is read."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._images: list[int] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, file: str, record: str, problem: str, action: str, *, image: int = -1) -> None:
        self._texts += [file, record, problem, action]
        self._images.append(image)

    def renumber(self, place: np.ndarray) -> None:
        """Image ``i`` becomes ``place[i]``; −1 for an image that is left out."""
        self._images = [int(place[i]) if i >= 0 else -1 for i in self._images]

    def problems(self) -> Problems:
        return Problems(Texts.of(self._texts), np.array(self._images, np.int64))
