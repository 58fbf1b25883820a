"""Playground scenes for methods that make images of images: maps with the scenes they are of, and scenes by day and by
night. Deterministic, as :mod:`baimu.datasets.playground`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from baimu.datasets.playground import CLASSES, Playground
from baimu.datasets.source import Problem

GROUND = (32, 34, 40)
"""The colour of what is no thing, in a map."""

NIGHT = np.array([[0.22, 0.06, 0.02], [0.12, 0.24, 0.08], [0.14, 0.22, 0.24]], np.float32)
"""Red, green and blue at night, of those by day: dark, and bluer the brighter."""


@dataclass(frozen=True, eq=False)
class PlaygroundPairs:
    """The map of a scene, in which each class has a colour, and the scene."""

    scenes: Playground
    classes: tuple[str, ...] = ()
    problems: Sequence[Problem] = ()

    def __len__(self) -> int:
        return len(self.scenes)

    def name(self, index: int) -> str:
        return self.scenes.name(index)

    def image_id(self, index: int) -> int:
        return self.scenes.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.scenes.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        del at_least  # there is no cheaper smaller map
        return _COLOURS[self.scenes.semantic(index)]

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The map, and the scene."""
        return self.image(index), self.scenes.image(index)

    def select(self, indices: Sequence[int]) -> PlaygroundPairs:
        return replace(self, scenes=self.scenes.select(indices))


@dataclass(frozen=True, eq=False)
class DayAndNight:
    """Scenes of which the first half is by day and the others by night, none of them both: a
    :class:`~baimu.datasets.source.ClassificationSource`."""

    scenes: Playground
    night: np.ndarray  # (N,) bool
    classes: tuple[str, ...] = ("day", "night")
    multi_label: bool = False
    problems: Sequence[Problem] = field(default_factory=tuple)

    @classmethod
    def of(cls, count: int, size: int, seed: int) -> DayAndNight:
        return cls(Playground(2 * count, size=size, seed=seed), np.arange(2 * count) >= count)

    def __len__(self) -> int:
        return len(self.scenes)

    def name(self, index: int) -> str:
        return f"{self.scenes.name(index)}-{self.classes[int(self.night[index])]}"

    def image_id(self, index: int) -> int:
        return self.scenes.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.scenes.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        image = self.scenes.image(index, at_least=at_least)
        return by_night(image) if self.night[index] else image

    def labels(self, index: int) -> np.ndarray:
        return self.night[index : index + 1].astype(np.int64)

    def unknown(self, index: int) -> np.ndarray:
        del index
        return np.zeros(0, np.int64)

    def select(self, indices: Sequence[int] | np.ndarray) -> Any:
        chosen = np.asarray(indices, np.int64).reshape(-1)
        return replace(self, scenes=self.scenes.select(chosen.tolist()), night=self.night[chosen])


def by_night(image: np.ndarray) -> np.ndarray:
    """What the scene (H, W, 3) uint8 looks like at night: a function of each pixel, which could be undone."""
    return (image.astype(np.float32) @ NIGHT.T + (4, 6, 26)).round().clip(0, 255).astype(np.uint8)


def _colours() -> np.ndarray:
    """(K + 1, 3) uint8: the ground's, then those of the classes."""
    from baimu.draw.colours import class_colour

    return np.array([GROUND, *(class_colour(label) for label in range(len(CLASSES)))], np.uint8)


_COLOURS = _colours()
