"""Instance masks as COCO keeps them, run lengths written as text: some hundred bytes each, whatever the image's size.

Runs go down the columns and alternate outside, inside. They, their text and what is decoded from it equal
pycocotools' to the letter and the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

_LIMITS = 16 << 5 * np.arange(9, dtype=np.int64)
"""A number below the g-th of these, or at least minus it, fits into g + 1 groups of five bits."""


@dataclass(frozen=True, eq=False)
class Masks:
    """N masks of one picture of ``size`` (height, width); ``counts`` are their compressed run lengths.

    ``masks[3]``, and each of a loop, is a bool array (H, W); ``masks[[0, 2]]``, a slice or a bool index are the chosen
    :class:`Masks`; ``np.asarray(masks)`` is one bool array (N, H, W).
    """

    counts: tuple[str, ...]
    size: tuple[int, int]

    @classmethod
    def of(cls, masks: np.ndarray) -> Masks:
        """Pack an array (N, H, W) of what can be read as true and false. Raises ``ValueError`` for another shape."""
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise ValueError(f"masks must be (N, H, W), got {masks.shape}")
        masks = masks.astype(bool, copy=False)
        changes = np.zeros(masks.shape, bool)  # from the pixel above, or at the top from the end of the last column
        if masks.size:
            np.not_equal(masks[:, 1:], masks[:, :-1], out=changes[:, 1:])
            np.not_equal(masks[:, 0, 1:], masks[:, -1, :-1], out=changes[:, 0, 1:])
            changes[:, 0, 0] = masks[:, 0, 0]
        return cls.from_changes(np.flatnonzero(changes), masks.shape)

    @classmethod
    def from_changes(cls, places: np.ndarray, shape: tuple[int, ...]) -> Masks:
        """From the places in a flat array of ``shape`` (N, H, W) where a pixel differs from the one before it down the
        columns; the first pixel of a mask differs if it is set."""
        count, height, width = shape
        pixels = height * width
        owner, place = np.divmod(places, max(1, pixels))
        row, column = np.divmod(place, max(1, width))
        borders = np.concatenate([np.arange(count) * pixels, owner * pixels + column * height + row])
        runs = np.diff(np.sort(borders), append=count * pixels)  # all masks stand in one line
        return cls(tuple(encode_runs(runs, np.bincount(owner, minlength=count) + 1)), (height, width))

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, keep: Any) -> Any:
        if isinstance(keep, int | np.integer):
            return runs_to_mask(decode_runs(self.counts[keep]), self.size)
        return Masks(tuple(self.counts[i] for i in np.arange(len(self))[keep]), self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        dense = np.zeros(self.shape, bool if dtype is None else dtype)
        for i, mask in enumerate(self):
            dense[i] = mask
        return dense

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, H, W)"""
        return (len(self), *self.size)

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64 pixels of each mask."""
        return np.array([decode_runs(text)[1::2].sum() for text in self.counts], np.int64)

    def window(self, index: int) -> tuple[slice, slice, np.ndarray]:
        """Rows and columns of the smallest window that holds a mask, and the mask in it; all empty for an empty one."""
        height = self.size[0]
        ends = np.cumsum(decode_runs(self.counts[index]))
        inside = ends[1::2] > ends[: len(ends) // 2 * 2 : 2]
        if not inside.any():
            return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
        left = int(ends[::2][: len(inside)][inside][0]) // height
        right = (int(ends[1::2][inside][-1]) - 1) // height + 1
        runs = np.diff(ends.clip(left * height, right * height), prepend=left * height)
        mask = runs_to_mask(runs, (height, right - left))
        rows = np.flatnonzero(mask.any(1))
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(left, right), mask[rows[0] : rows[-1] + 1]

    def to_coco(self) -> list[dict[str, Any]]:
        """COCO's ``segmentation`` of each mask, ready for JSON."""
        return [{"size": list(self.size), "counts": text} for text in self.counts]

    def to_polygons(self) -> list[list[np.ndarray]]:
        """The polygons of each mask, as :func:`mask_to_polygons` draws them."""
        found = []
        for rows, columns, mask in map(self.window, range(len(self))):
            corner = np.array([columns.start, rows.start], np.float32)
            found.append([polygon + corner for polygon in mask_to_polygons(mask)])
        return found


def encode_runs(runs: np.ndarray, lengths: np.ndarray) -> list[str]:
    """COCO's compressed texts of run lengths (R,) that follow one another, ``lengths`` (N,) of them a mask.

    The inverse of :func:`decode_runs`, which tells the code.
    """
    first = np.cumsum(lengths) - lengths
    place = np.arange(len(runs)) - np.repeat(first, lengths)
    numbers = runs.astype(np.int64)
    late = np.flatnonzero(place > 2)
    numbers[late] -= runs[late - 2]
    groups = 1 + np.searchsorted(_LIMITS, np.where(numbers < 0, ~numbers, numbers), side="right")
    ends = np.cumsum(groups)
    position = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - groups, groups)
    codes = (np.repeat(numbers, groups) >> 5 * position) & 31
    codes += np.where(position < np.repeat(groups, groups) - 1, 32, 0) + 48
    text = codes.astype(np.uint8).tobytes().decode("ascii")
    stops = np.concatenate([[0], ends])[np.concatenate([[0], np.cumsum(lengths)])].tolist()
    return [text[start:stop] for start, stop in pairwise(stops)]


def decode_runs(text: str) -> np.ndarray:
    """COCO's compressed run lengths as int64.

    Each number is written in groups of five bits, lowest first, at character 48 + bits, with 32 added while more
    groups follow; the last group carries the sign. From the fourth on, a number is the difference to its last but one.
    Raises ``ValueError`` for text that is none.
    """
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("run lengths are not COCO's compressed text")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    groups = last - first + 1
    if groups.max() > 8:
        raise ValueError("run lengths are not COCO's compressed text")
    position = np.arange(len(codes)) - np.repeat(first, groups)
    numbers = np.add.reduceat((codes & 31) << (5 * position), first)
    numbers -= np.where(codes[last] & 16, 1 << (5 * groups), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def runs_to_mask(runs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool (H, W) from run lengths that alternate outside, inside, down the columns."""
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[1], size[0]).T


_EAST, _SOUTH, _WEST, _NORTH = range(4)


def mask_to_polygons(mask: np.ndarray) -> list[np.ndarray]:
    """Float32 polygons (n, 2) of corners x, y along the borders of the pixels of a bool mask (H, W).

    One for each part whose pixels touch by their sides. A hole is cut open by a line from its upper left corner to the
    left, there and back, so that filling the polygons (by COCO's rule, or any even-odd one) gives the mask again.
    """
    size = np.array(mask.shape) + 2
    solid = np.pad(mask, 1)
    # A border is named by 4 * (the corner where it starts) + its direction; the mask lies at its right hand.
    corner = np.arange(size.prod()).reshape(size)
    starts = []
    for direction, (dy, dx), (y, x) in (
        (_EAST, (-1, 0), (0, 0)),
        (_SOUTH, (0, 1), (0, 1)),
        (_WEST, (1, 0), (1, 1)),
        (_NORTH, (0, -1), (1, 0)),
    ):
        free = solid & ~np.roll(solid, (-dy, -dx), (0, 1))
        starts.append(4 * (corner[free] + y * size[1] + x) + direction)
    borders = np.sort(np.concatenate(starts))
    step = np.array([1, size[1], -1, -size[1]])
    ends = borders // 4 + step[borders % 4]
    following = np.full(len(borders), -1)
    for turn in (3, 0, 1):  # where two parts touch by a corner, the turn to the right stays with its own part
        wanted = 4 * ends + (borders % 4 + turn) % 4
        at = np.searchsorted(borders, wanted).clip(max=len(borders) - 1)
        following = np.where(borders[at] == wanted, at, following)
    _open_holes(solid, borders, ends, following)
    return [_corners(loop, borders, ends, int(size[1])) for loop in _loops(following)]


def _open_holes(solid: np.ndarray, borders: np.ndarray, ends: np.ndarray, following: np.ndarray) -> None:
    """Join each hole's loop with the one at its left: two borders, one of each, exchange what follows them."""
    width = solid.shape[1]
    for loop in _loops(following.copy()):
        last = loop[np.argmin(ends[loop])]  # ends in the loop's upper left corner
        if borders[last] % 4 != _WEST:  # around a part the way up comes first, around a hole the way along the top
            continue
        y, x = divmod(int(ends[last]), width)
        left = int(np.flatnonzero(~solid[y, :x])[-1]) + 1
        other = np.searchsorted(borders, 4 * ((y + 1) * width + left) + _NORTH)
        following[[last, other]] = following[[other, last]]


def _loops(following: np.ndarray) -> Iterator[np.ndarray]:
    """The cycles of a permutation."""
    rest = following.tolist()
    for at in range(len(rest)):
        loop = []
        while rest[at] >= 0:
            loop.append(at)
            rest[at], at = -1, rest[at]
        if loop:
            yield np.array(loop)


def _corners(loop: np.ndarray, borders: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
    """Where a loop changes its direction; the two ends of a cut into a hole are such places."""
    path = np.stack([borders[loop] // 4, ends[loop]], 1).ravel()
    path = path[path != np.roll(path, 1)]
    points = np.stack([path % width, path // width], 1) - 1
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (np.sign(before) == -np.sign(after)).all(1)
    return points[turns | back].astype(np.float32)
