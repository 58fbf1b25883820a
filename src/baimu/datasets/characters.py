"""Drawn characters, a few strokes of a pen each, as identities to try embedding on: the playground's answer to
Omniglot.

Image *j* of character *i* is the same whatever else is drawn: shape, slant, size, ink and paper come from (seed, i, j).
Characters of negative numbers are as good; validation has those, so that no length of training reaches them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from baimu.datasets.source import Pairs, Problem, Shown

OVERSAMPLED = 3  # drawn so many times larger, and scaled down smoothly
POINTS = 12  # of a stroke's curve
WOBBLE, TURN, GROWTH, SHIFT = 0.035, 0.2, 0.15, 0.06  # of a hand: shares of the picture, radians


@dataclass(frozen=True, eq=False)
class Characters:
    """``images`` drawings of each of ``numbers``, ``size`` x ``size`` pixels: an
    :class:`~baimu.datasets.source.IdentitySource`."""

    numbers: Sequence[int]
    images: int = 20
    size_: int = 48
    seed: int = 0
    chosen: np.ndarray | None = None  # (N,) positions; None: all

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(f"character {self.numbers[i]}" for i in self._owners())

    @property
    def problems(self) -> Sequence[Problem]:
        return ()

    @property
    def pairs(self) -> Pairs | None:
        return None

    def __len__(self) -> int:
        return len(self._positions())

    def __repr__(self) -> str:
        return f"Characters({len(self)} drawings of {len(self.classes)} characters)"

    def name(self, index: int) -> str:
        number, drawing = self._which(index)
        return f"character {number}, drawing {drawing}"

    def image_id(self, index: int) -> int:
        return int(self._positions()[index])

    def size(self, index: int) -> tuple[int, int]:
        del index
        return self.size_, self.size_

    def shown(self, index: int) -> Shown:
        own = int(self._positions()[index]) // self.images
        return Shown(int(np.searchsorted(self._owners(), own)))

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        del at_least
        number, drawing = self._which(index)
        who = [self.seed % 2**63, number % 2**63]
        strokes = _strokes(np.random.Generator(np.random.PCG64(who)))
        return _drawn(strokes, self.size_, np.random.Generator(np.random.PCG64([*who, drawing + 1])))

    def select(self, indices: Sequence[int]) -> Characters:
        return replace(self, chosen=self._positions()[np.asarray(indices, np.int64).reshape(-1)])

    def _positions(self) -> np.ndarray:
        return np.arange(len(self.numbers) * self.images) if self.chosen is None else self.chosen

    def _owners(self) -> np.ndarray:
        """Positions in ``numbers`` of the characters that are there."""
        return np.unique(self._positions() // self.images)

    def _which(self, index: int) -> tuple[int, int]:
        own, drawing = divmod(int(self._positions()[index]), self.images)
        return self.numbers[own], drawing


def _strokes(rng: np.random.Generator) -> list[np.ndarray]:
    """Two to four strokes, each by three points (3, 2) in 0.15…0.85 that span a curve; most begin on the one before."""
    strokes: list[np.ndarray] = []
    for _ in range(int(rng.integers(2, 5))):
        points = rng.uniform(0.15, 0.85, (3, 2))
        while np.abs(points[2] - points[0]).sum() < 0.4:
            points[2] = rng.uniform(0.15, 0.85, 2)
        if strokes and rng.random() < 0.7:
            points[0] = strokes[-1][int(rng.integers(3))]
        strokes.append(points)
    return strokes


def _drawn(strokes: list[np.ndarray], size: int, rng: np.random.Generator) -> np.ndarray:
    """One hand's drawing of them, RGB uint8 (size, size, 3)."""
    angle, growth = rng.normal(0, TURN), np.exp(rng.normal(0, GROWTH, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    turn, shift = np.array([[cos, -sin], [sin, cos]]) * growth, rng.normal(0, SHIFT, 2)
    paper, ink = rng.integers(170, 256, 3), rng.integers(0, 110, 3)
    large = size * OVERSAMPLED
    picture = Image.new("RGB", (large, large), tuple(paper.tolist()))
    pen, width = ImageDraw.Draw(picture), max(1, round(large * rng.uniform(0.03, 0.055)))
    t = np.linspace(0, 1, POINTS)[:, None]
    for stroke in strokes:
        start, middle, end = ((stroke + rng.normal(0, WOBBLE, (3, 2)) - 0.5) @ turn.T + shift + 0.5) * large
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        for (x0, y0), (x1, y1) in itertools.pairwise(curve.tolist()):
            pen.line((x0, y0, x1, y1), tuple(ink.tolist()), width)
            pen.ellipse((x1 - width / 2, y1 - width / 2, x1 + width / 2, y1 + width / 2), tuple(ink.tolist()))
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))
