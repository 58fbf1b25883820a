"""The built-in data set: scenes drawn on demand, with boxes, instance masks and a semantic map exact to the pixel.

It needs no files and no network, so it is what ``baimu demo`` and the learning tests train on. A scene is a function
of ``(seed, number)`` and the options alone; any scene can be asked for at any time, in any process.

>>> scenes = Playground(1000, size=160)
>>> scenes.image(7).shape, scenes.objects(7).boxes.shape
((160, 160, 3), (4, 4))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from baimu.datasets.painting import paint
from baimu.datasets.scenes import Layout, Scene, compose, lay_out
from baimu.datasets.shapes import SHAPES
from baimu.datasets.source import Objects, Problem
from baimu.errors import DataError, unknown

CLASSES: tuple[str, ...] = tuple(SHAPES)
"""The twelve classes, in label order."""

SMALLEST_SIDE = 16  # pixels: below, two of the smallest things would fill the picture


class Playground:
    """``count`` scenes of ``size`` pixels (one side, or height and width); a :class:`DetectionSource`.

    ``seed`` and ``first``, the number of the first scene, choose which: ``Playground(1000)`` and
    ``Playground(200, first=1000)`` have no scene in common. ``classes`` keeps only some of the twelve (labels follow
    their order), ``objects`` bounds how many things a scene begins with, ``empty`` is the share of scenes without any.
    One scene described by :meth:`scene` is drawn at whatever size is asked; things measure 5 % to 40 % of the shorter
    side, and at least 8 pixels. Raises :class:`~baimu.errors.DataError` for values that leave nothing to draw.
    """

    problems: Sequence[Problem] = ()

    def __init__(
        self,
        count: int,
        size: int | tuple[int, int] = 160,
        seed: int = 0,
        *,
        first: int = 0,
        classes: Sequence[str] | None = None,
        objects: tuple[int, int] = (1, 6),
        empty: float = 0.04,
    ) -> None:
        self.height, self.width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.classes = CLASSES if classes is None else tuple(classes)
        self.category_ids = tuple(range(1, len(self.classes) + 1))
        self.seed, self.object_range, self.empty = int(seed), (int(objects[0]), int(objects[1])), float(empty)
        self._numbers: Sequence[int] = range(int(first), int(first) + int(count))
        self._last: tuple[int, Scene, Layout] | None = None
        self._check(count, first)

    def _check(self, count: int, first: int) -> None:
        for name in self.classes:
            if name not in SHAPES:
                raise unknown("playground class", name, SHAPES)
        least, most = self.object_range
        complaints = (
            (count < 0, f"count={count} must not be negative"),
            (self.seed < 0 or first < 0, f"seed={self.seed}, first={first}: neither may be negative"),
            (
                min(self.height, self.width) < SMALLEST_SIDE,
                f"size {self.height} x {self.width}: a side must be at least {SMALLEST_SIDE}",
            ),
            (not self.classes, "classes is empty; name at least one, or leave it out for all"),
            (len(set(self.classes)) < len(self.classes), f"classes={self.classes}: name each once"),
            (not 0 <= least <= most, f"objects={self.object_range}: needs 0 <= least <= most"),
            (not 0 <= self.empty <= 1, f"empty={self.empty} is a share, 0 to 1"),
        )
        for wrong, complaint in complaints:
            if wrong:
                raise DataError(f"playground: {complaint}")

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"Playground({len(self)}, size=({self.height}, {self.width}), seed={self.seed})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # the drawn scene stays at home: workers draw their own

    def name(self, index: int) -> str:
        return f"playground-{self.seed}-{self._numbers[index]:06d}"

    def image_id(self, index: int) -> int:
        """The scene's number: the same in every subset."""
        return self._numbers[index]

    def size(self, index: int) -> tuple[int, int]:
        return self.height, self.width

    def scene(self, index: int) -> Scene:
        """The description of a scene, before it is laid out and painted."""
        return self._laid_out(index)[1]

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """RGB uint8 (H, W, 3); ``at_least`` changes nothing, for there is no cheaper smaller picture."""
        _, scene, layout = self._laid_out(index)
        return paint(scene, layout)

    def objects(self, index: int) -> Objects:
        """Things from back to front; masks are their visible pixels, boxes the tight bounds of the masks."""
        number, _, layout = self._laid_out(index)
        count = len(layout.placed)
        masks = layout.owner == np.arange(count, dtype=np.int16)[:, None, None]
        labels = [self.classes.index(placed.item.shape) for placed in layout.placed]
        identities = [placed.index for placed in layout.placed]
        return Objects(
            boxes=bounds(masks),
            labels=np.array(labels, np.int64),
            crowd=np.zeros(count, bool),
            areas=masks.sum((1, 2)).astype(np.float32),
            ids=number * (self.object_range[1] + 1) + 1 + np.array(identities, np.int64),
            masks=masks,
        )

    def semantic(self, index: int) -> np.ndarray:
        """(H, W) uint8: 0 the ground, k + 1 the things of label k. No pixel is undecided, so 255 does not occur."""
        layout = self._laid_out(index)[2]
        labels = [self.classes.index(placed.item.shape) + 1 for placed in layout.placed]
        return np.array([*labels, 0], np.uint8)[layout.owner]  # owner −1 is the last entry

    def select(self, indices: Sequence[int]) -> Playground:
        chosen = Playground.__new__(Playground)
        chosen.__dict__.update(self.__getstate__())
        chosen._numbers = [self._numbers[int(i)] for i in indices]
        return chosen

    def _laid_out(self, index: int) -> tuple[int, Scene, Layout]:
        """The scene's number, description and layout; the last one is kept, for image and objects come in pairs."""
        number = self._numbers[index]
        last = self._last
        if last is None or last[0] != number:
            rng = np.random.Generator(np.random.PCG64([self.seed, number]))
            short = min(self.height, self.width)
            scene = compose(
                rng,
                (self.height / short, self.width / short),
                shapes=self.classes,
                objects=self.object_range,
                empty=self.empty,
            )
            last = self._last = (number, scene, lay_out(scene, self.height, self.width))
        return last


def bounds(masks: np.ndarray) -> np.ndarray:
    """(n, 4) float32 xyxy around the true pixels of (n, H, W) masks, none of them empty."""
    rows, columns = np.any(masks, axis=2), np.any(masks, axis=1)
    height, width = masks.shape[1:]
    edges = (columns.argmax(1), rows.argmax(1), width - columns[:, ::-1].argmax(1), height - rows[:, ::-1].argmax(1))
    return np.stack(edges, 1).astype(np.float32)
