"""Playground scenes that move: things with identities, for trackers of one object and of many.

A sequence is a function of ``(seed, number)`` and the options alone, and any frame of it can be asked for at any time:
things glide on smooth paths, turn, grow and shrink, cross and hide one another, while the camera stands still.

>>> moving = MovingPlayground(100, length=40, size=160)
>>> moving.frame(3, 10).shape, moving.box(3, 10).shape
((160, 160, 3), (4,))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from baimu.datasets.formats.mot import TrackRows
from baimu.datasets.painting import paint
from baimu.datasets.playground import CLASSES, SMALLEST_SIDE, bounds
from baimu.datasets.scenes import Item, Layout, Scene, compose, lay_out
from baimu.datasets.shapes import SHAPES
from baimu.datasets.source import Problem
from baimu.errors import DataError

FASTEST = 0.02  # of the picture's shorter side a frame


class Path(NamedTuple):
    """How one thing moves: a straight line with a bend, a slow turn, a slow change of size."""

    speed: tuple[float, float]  # a frame, in units of the shorter side
    sway: float  # how far it bends to the side
    rhythm: float  # radians a frame
    turn: float  # radians a frame
    growth: float  # largest change of the logarithm of its size

    def at(self, item: Item, time: float) -> Item:
        """The thing so many frames from the middle of the sequence, where it is as it was composed."""
        along = math.sin(self.rhythm * time)
        across = self.sway * (1 - math.cos(self.rhythm * time))
        dx, dy = self.speed
        x, y = item.centre
        centre = (x + dx * time - dy * across / FASTEST, y + dy * time + dx * across / FASTEST)
        tilt = SHAPES[item.shape].tilt
        angle = item.angle + self.turn * time if tilt == math.pi else item.angle + 0.3 * tilt * along
        return replace(item, centre=centre, angle=angle, radius=item.radius * math.exp(self.growth * along))


class MovingPlayground:
    """``count`` sequences of ``length`` frames of ``size`` pixels (one side, or height and width); a
    :class:`~baimu.datasets.source.SequenceSource`.

    Each follows one of the ``objects[0]``…``objects[1]`` things of its scene, one that is well seen in the first frame;
    :meth:`tracks` has them all. A thing that is hidden, or has left, has no box. ``seed`` and ``first``, the number of
    the first sequence, choose which. Raises :class:`~baimu.errors.DataError` for values that leave nothing to draw.
    """

    problems: Sequence[Problem] = ()
    classes: tuple[str, ...] = ()

    def __init__(
        self,
        count: int,
        length: int = 40,
        size: int | tuple[int, int] = 160,
        seed: int = 0,
        *,
        first: int = 0,
        objects: tuple[int, int] = (2, 5),
    ) -> None:
        self.height, self.width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.length, self.seed, self.object_range = int(length), int(seed), objects
        self._numbers: Sequence[int] = range(int(first), int(first) + int(count))
        self._last: dict[str, Any] = {}
        if min(self.height, self.width) < SMALLEST_SIDE or self.length < 2 or count < 0 or min(seed, first) < 0:
            raise DataError(
                f"playground: {count} sequences of {length} frames of {self.height} x {self.width}: needs a side of at "
                f"least {SMALLEST_SIDE}, two frames, and no negative number"
            )
        if not 1 <= objects[0] <= objects[1]:
            raise DataError(f"playground: objects={objects}: needs 1 <= least <= most")

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"MovingPlayground({len(self)}, length={self.length}, size=({self.height}, {self.width}))"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": {}}  # what was drawn stays at home: workers draw their own

    def name(self, index: int) -> str:
        return f"moving-{self.seed}-{self._numbers[index]:06d}"

    def image_id(self, index: int) -> int:
        """The sequence's number: the same in every subset."""
        return self._numbers[index]

    def size(self, index: int) -> tuple[int, int]:
        return self.height, self.width

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """The first frame."""
        return self.frame(index, 0)

    def frames(self, index: int) -> int:
        return self.length

    def frame(self, index: int, number: int) -> np.ndarray:
        """RGB uint8 (H, W, 3)."""
        return paint(*self._laid_out(index, number))

    def box(self, index: int, number: int) -> np.ndarray:
        """(4,) float64: the bounds of what can be seen of the thing that is followed, NaN where it is not."""
        return self._boxes(index, number)[self._described(index)[2]]

    def tracks(self, index: int) -> TrackRows:
        """All things of all frames; ids count from 1, and the classes are labels."""
        items = self._described(index)[0].items
        rows = []
        for number in range(self.length):
            for i, (x1, y1, x2, y2) in enumerate(self._boxes(index, number)):
                if math.isfinite(x1):
                    rows.append((number + 1, i + 1, x1, y1, x2 - x1, y2 - y1, 1, CLASSES.index(items[i].shape), 1))
        return TrackRows.of_table(np.array(rows, float).reshape(-1, 9))

    def select(self, indices: Sequence[int]) -> MovingPlayground:
        chosen = MovingPlayground.__new__(MovingPlayground)
        chosen.__dict__.update(self.__getstate__())
        chosen._numbers = [self._numbers[int(i)] for i in indices]
        return chosen

    def _described(self, index: int) -> tuple[Scene, list[Path], int]:
        """The scene in the middle of the sequence, the paths of its things, and which of them is followed."""
        number = self._numbers[index]
        if self._last.get("number") != number:
            rng = np.random.Generator(np.random.PCG64([self.seed, number, 7]))  # apart from the still scenes' numbers
            short = min(self.height, self.width)
            extent = (self.height / short, self.width / short)
            while True:
                scene = compose(rng, extent, objects=self.object_range, empty=0.0)
                paths = [_path(rng) for _ in scene.items]
                self._last = {"number": number, "told": (scene, paths, 0), "drawn": {}}
                seen = self._boxes(index, 0)
                areas = (seen[:, 2] - seen[:, 0]) * (seen[:, 3] - seen[:, 1])
                good = np.flatnonzero(areas > (0.1 * short) ** 2)
                if len(good):
                    break
            self._last["told"] = (scene, paths, int(good[int(rng.random() * len(good))]))
        return self._last["told"]

    def _laid_out(self, index: int, number: int) -> tuple[Scene, Layout]:
        scene, paths, _ = self._described(index)
        number = range(self.length)[number]
        drawn = self._last["drawn"]
        if number not in drawn:
            time = number - (self.length - 1) / 2
            moved = replace(scene, items=tuple(p.at(i, time) for p, i in zip(paths, scene.items, strict=True)))
            drawn.clear()  # box and frame come in pairs
            drawn[number] = (moved, lay_out(moved, self.height, self.width))
        return drawn[number]

    def _boxes(self, index: int, number: int) -> np.ndarray:
        """(things, 4) float64."""
        scene, layout = self._laid_out(index, number)
        boxes = np.full((len(scene.items), 4), np.nan)
        if layout.placed:
            masks = layout.owner == np.arange(len(layout.placed), dtype=np.int16)[:, None, None]
            boxes[[placed.index for placed in layout.placed]] = bounds(masks)
        return boxes


def _path(rng: np.random.Generator) -> Path:
    angle, speed = rng.uniform(0, 2 * math.pi), FASTEST * math.sqrt(rng.random())
    return Path(
        speed=(speed * math.cos(angle), speed * math.sin(angle)),
        sway=rng.uniform(-0.08, 0.08),
        rhythm=rng.uniform(0.05, 0.2),
        turn=rng.uniform(-0.05, 0.05),
        growth=rng.uniform(-0.25, 0.25),
    )
