"""Drawn lines of text: words, numbers, prices and dates in several fonts, on grounds of all kinds.

It needs no files and no network. A line is a function of ``(seed, number)`` alone; any line can be asked for at any
time, in any process. The fonts are those that come with matplotlib.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from baimu.datasets.source import Problem
from baimu.draw.fonts import dejavu, font
from baimu.errors import DataError

CHARACTERS: tuple[str, ...] = tuple(sorted(string.ascii_letters + string.digits + " .,:-/$%"))
"""All that occur."""

FACES = tuple(
    f"DejaVu{face}.ttf"
    for face in (
        "Sans",
        "Sans-Bold",
        "Sans-Oblique",
        "SansMono",
        "SansMono-Bold",
        "Serif",
        "Serif-Bold",
        "Serif-Italic",
    )
)
SMALLEST = 12  # pixels: below, letters are no more than spots

_BEGIN = (
    "b",
    "br",
    "c",
    "d",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "qu",
    "r",
    "s",
    "st",
    "t",
    "v",
    "w",
    "z",
)
_MIDDLE = ("a", "e", "i", "o", "u", "ea", "ou", "y")
_END = ("", "", "n", "r", "s", "t", "l", "x", "ck", "nd")


class TextLines:
    """``count`` lines of ``height`` pixels, as wide as their texts; a :class:`~baimu.datasets.source.ReadingSource`.

    ``seed`` and ``first``, the number of the first line, choose which. Raises :class:`~baimu.errors.DataError` for
    values that leave nothing to draw.
    """

    problems: Sequence[Problem] = ()
    classes = CHARACTERS

    def __init__(self, count: int, height: int = 32, seed: int = 0, *, first: int = 0) -> None:
        if count < 0 or seed < 0 or first < 0 or height < SMALLEST:
            raise DataError(
                f"playground: count={count}, seed={seed} and first={first} must not be negative, and lines of "
                f"{height} pixels must be {SMALLEST} high or more"
            )
        self.height, self.seed = int(height), int(seed)
        self._numbers: Sequence[int] = range(int(first), int(first) + int(count))

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"TextLines({len(self)}, height={self.height}, seed={self.seed})"

    def name(self, index: int) -> str:
        return f"line-{self.seed}-{self._numbers[index]:06d}"

    def image_id(self, index: int) -> int:
        """The line's number: the same in every subset."""
        return self._numbers[index]

    def text(self, index: int) -> str:
        return _text(self._random(index, 0))

    def size(self, index: int) -> tuple[int, int]:
        rng = self._random(index, 1)
        return self.height, _layout(self.text(index), self.height, rng)[0]

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        """RGB uint8 (H, W, 3); ``at_least`` changes nothing, for there is no cheaper smaller picture."""
        return _paint(self.text(index), self.height, self._random(index, 1))

    def select(self, indices: Sequence[int]) -> TextLines:
        chosen = TextLines.__new__(TextLines)
        chosen.__dict__.update(self.__dict__)
        chosen._numbers = [self._numbers[int(i)] for i in indices]
        return chosen

    def _random(self, index: int, stream: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, self._numbers[index], 7, stream]))


def _text(rng: np.random.Generator) -> str:
    kind = rng.integers(6)
    if kind == 0:
        return f"{rng.choice(['', '$', '-'])}{rng.integers(1000)}.{rng.integers(100):02d}{rng.choice(['', '%'])}"
    if kind == 1:
        return f"{rng.integers(1, 32):02d}/{rng.integers(1, 13):02d}/{rng.integers(1990, 2030)}"
    if kind == 2:
        return f"{_word(rng)}: {rng.integers(1, 5000):,}"
    words = [_word(rng) for _ in range(rng.integers(1, 4))]
    text = " ".join(words)
    return text.upper() if kind == 3 else text.capitalize() if kind == 4 else text


def _word(rng: np.random.Generator) -> str:
    parts = [str(rng.choice(_BEGIN)) + str(rng.choice(_MIDDLE)) for _ in range(rng.integers(1, 4))]
    return "".join(parts) + str(rng.choice(_END))


def _layout(text: str, height: int, rng: np.random.Generator) -> tuple[int, Any, tuple[int, int]]:
    """Width of the line, its face, and where the text begins."""
    size = max(8, round(height * rng.uniform(0.5, 0.78)))
    face = font(size, dejavu().with_name(FACES[rng.integers(len(FACES))]))
    left, top, right, bottom = face.getbbox(text)
    margin = round(height * rng.uniform(0.1, 0.4))
    down = round((height - (bottom - top)) * rng.uniform(0.2, 0.8))
    width = max(round(right - left) + 2 * margin, height // 2)
    return width, face, (round(margin - left), round(down - top))


def _paint(text: str, height: int, rng: np.random.Generator) -> np.ndarray:
    width, face, corner = _layout(text, height, rng)
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).text(corner, text, 255, face)
    slant = rng.uniform(-0.15, 0.15)
    mask = mask.transform(
        mask.size, Image.Transform.AFFINE, (1, slant, -slant * height / 2, 0, 1, 0), Image.Resampling.BICUBIC
    )
    mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    cover = np.asarray(mask, np.float32)[:, :, None] / 255
    dark, light = rng.uniform(0, 90, 3), rng.uniform(150, 255, 3)
    ink, paper = (light, dark) if rng.random() < 0.25 else (dark, light)
    picture = (1 - cover) * _ground(height, width, paper, rng) + cover * ink
    picture += rng.standard_normal((height, width, 1)) * rng.uniform(0, 12)
    return picture.clip(0, 255).astype(np.uint8)


def _ground(height: int, width: int, paper: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3): plain, a gradient, stripes, or clouds, of which letters stay distinct."""
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    kind, strength = rng.integers(4), rng.uniform(5, 35)
    if kind == 0:
        hills = np.zeros((height, width))
    elif kind == 1:
        hills = rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y
    elif kind == 2:
        hills = np.sin(np.pi * rng.uniform(2, 9) * (x * width / height + rng.uniform(-1, 1) * y))
    else:
        few = Image.fromarray(rng.uniform(-1, 1, (3, max(3, 3 * width // height))).astype(np.float32))
        hills = np.asarray(few.resize((width, height), Image.Resampling.BICUBIC))
    return paper + strength * hills[:, :, None]
