"""Images by themselves, and images in pairs: the sources that methods learn from which make images of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.edges import edges, grey
from baimu.datasets.flat import ProblemLog, Problems
from baimu.datasets.labels import Pictures
from baimu.errors import DataError, unknown

Pair = tuple[np.ndarray, np.ndarray]
"""An input and what it is to become, RGB uint8 (H, W, 3)."""


@dataclass(frozen=True, eq=False)
class PictureList:
    """Images of which nothing is known: an :class:`~baimu.datasets.source.ImageSource`."""

    root: str
    pictures: Pictures
    problems: Problems
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r}: {len(self)} images)"

    def name(self, index: int) -> str:
        return self.pictures.name(index)

    def image_id(self, index: int) -> int | str:
        return self.pictures.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.pictures.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.pictures.image(index, at_least)

    def select(self, indices: Sequence[int] | np.ndarray) -> Any:
        """The subset of these images, in this order."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        problems = self.problems.for_images(chosen, len(self))
        return replace(self, pictures=self.pictures.take(chosen), problems=problems)

    def joined(self, other: Any) -> Any:
        """These and ``other``'s, after them."""
        if type(self.pictures) is not type(other.pictures):
            raise DataError(f"{self.root} and {other.root}: have pictures of two kinds and cannot be joined")
        root = os.path.commonpath([self.root, other.root])
        problems = self.problems.joined(other.problems, len(self))
        return replace(self, root=root, pictures=self.pictures.joined(other.pictures), problems=problems)


@dataclass(frozen=True, eq=False)
class DerivedPairs(PictureList):
    """Pairs of which one image tells both: ``how`` names the input, one of :data:`INPUTS`."""

    how: str = "grey"

    def __post_init__(self) -> None:
        if self.how not in INPUTS:
            raise unknown("input of a pair", self.how, INPUTS)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.pictures.size(index)
        return (height, width // 2) if self.how in ("left", "right") else (height, width)

    def pair(self, index: int) -> Pair:
        """The input, and what it is to become."""
        return INPUTS[self.how](self.pictures.image(index, None))

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        del at_least  # edges of a smaller image are others
        return self.pair(index)[0]


@dataclass(frozen=True, eq=False)
class FilePairs(PictureList):
    """Pairs of files: ``partners`` are what ``pictures`` are to become, in the same order."""

    partners: Pictures | None = None

    @property
    def _partners(self) -> Pictures:
        assert self.partners is not None
        return self.partners

    def pair(self, index: int) -> Pair:
        """The input, and what it is to become."""
        return self.pictures.image(index, None), self._partners.image(index, None)

    def select(self, indices: Sequence[int] | np.ndarray) -> FilePairs:
        return replace(super().select(indices), partners=self._partners.take(np.asarray(indices, np.int64).reshape(-1)))

    def joined(self, other: Any) -> FilePairs:
        return replace(super().joined(other), partners=self._partners.joined(other._partners))


def _halves(image: np.ndarray) -> Pair:
    middle = image.shape[1] // 2
    return image[:, :middle], image[:, middle : 2 * middle]


INPUTS: dict[str, Callable[[np.ndarray], Pair]] = {
    "grey": lambda image: (grey(image), image),
    "edges": lambda image: (edges(image), image),
    "left": _halves,
    "right": lambda image: (_halves(image)[1], _halves(image)[0]),
}
"""Of one image the input and what it is to become: its luma, its edges, or one half of it and the other."""


def require_images(source: PictureList) -> None:
    """Raise :class:`~baimu.errors.DataError` where there is no image."""
    if not len(source):
        problems = "".join(f"\n  {problem}" for problem in source.problems[:5])
        raise DataError(f"{getattr(source, 'root', source)}: no image is left to use{problems}")


def picture_list(pictures: Pictures, root: str, log: ProblemLog) -> PictureList:
    """A list with what is wrong with it."""
    return PictureList(root, pictures, log.problems())
