"""Instance outlines, polygons or run lengths, in flat arrays; rasterised when they are asked for.

Both follow COCO's rules exactly: a mask from here equals pycocotools' to the pixel (tests/datasets/test_outlines.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baimu.datasets.flat import ranges
from baimu.masks import decode_runs, runs_to_mask

LONGEST = 1_000_000
"""Pixels of a polygon's boundary, each of which is drawn: one corner at 1e9 would fill the memory."""

Outline = list[np.ndarray]
"""Of one object: float32 polygons, x and y in turn; or one uint32 array of run lengths; or nothing."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of T objects with P parts. ``words`` holds float32 coordinates and run lengths by their bits."""

    words: np.ndarray  # uint32
    part_spans: np.ndarray  # (P, 2) into words
    object_spans: np.ndarray  # (T, 2) into part_spans
    are_runs: np.ndarray  # (T,) bool

    @classmethod
    def of(cls, outlines: Sequence[Outline]) -> Outlines:
        parts = [part for outline in outlines for part in outline]
        are_runs = np.array([bool(o) and o[0].dtype == np.uint32 for o in outlines], bool)
        words = np.concatenate([p.view(np.uint32) for p in parts]) if parts else np.empty(0, np.uint32)
        return cls(words, _spans([len(p) for p in parts]), _spans([len(o) for o in outlines]), are_runs)

    @property
    def drawn(self) -> np.ndarray:
        """(T,) bool, whether an object has an outline at all."""
        return self.object_spans[:, 1] > self.object_spans[:, 0]

    def take(self, indices: np.ndarray) -> Outlines:
        """The outlines of these objects, sharing the parts."""
        return Outlines(self.words, self.part_spans, self.object_spans[indices], self.are_runs[indices])

    def joined(self, other: Outlines) -> Outlines:
        return Outlines(
            np.concatenate([self.words, other.words]),
            np.concatenate([self.part_spans, other.part_spans + len(self.words)]),
            np.concatenate([self.object_spans, other.object_spans + len(self.part_spans)]),
            np.concatenate([self.are_runs, other.are_runs]),
        )

    def mask(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """Bool (H, W) of one object, or None when it has no outline."""
        first, last = self.object_spans[index]
        parts = [self.words[start:stop] for start, stop in self.part_spans[first:last]]
        if not parts:
            return None
        if self.are_runs[index]:
            return runs_to_mask(parts[0], size)
        mask = polygon_to_mask(parts[0].view(np.float32), size)
        for part in parts[1:]:
            mask |= polygon_to_mask(part.view(np.float32), size)
        return mask


def read_outline(segmentation: Any, size: tuple[int, int]) -> Outline:
    """COCO's ``segmentation`` (polygons, or run lengths as numbers or text) for an image of (height, width).

    Raises ``ValueError`` that says what is wrong.
    """
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != list(size):
            raise ValueError(f"run lengths for {segmentation.get('size')} in an image of {list(size)} (height, width)")
        counts = segmentation.get("counts")
        runs = decode_runs(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
        if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
            raise ValueError(f"run lengths do not add up to the image's {size[0] * size[1]} pixels")
        return [runs.astype(np.uint32)]
    if not isinstance(segmentation, list):
        raise ValueError("is neither a list of polygons nor run lengths")
    polygons = [np.asarray(polygon, np.float32) for polygon in segmentation]
    for polygon in polygons:
        if polygon.ndim != 1 or len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
            raise ValueError("has a polygon that is not at least three finite points")
        corners = polygon.reshape(-1, 2).astype(np.float64)
        if np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum() > LONGEST:
            raise ValueError(f"has a polygon with a boundary of more than {LONGEST:,} pixels")
    return polygons


def polygon_to_mask(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool (H, W) of one polygon (2n,), even-odd, by COCO's rule.

    COCO draws the boundary on a grid five times finer, keeps its crossings of the centre line of each pixel column,
    and fills between them; so a pixel belongs by its centre, to a fifth of a pixel.
    """
    height, width = size
    corners = np.trunc(5.0 * polygon.reshape(-1, 2).astype(np.float64) + 0.5).astype(np.int64)
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.abs(edges).max(axis=1)
    steep = np.abs(edges[:, 0]) < np.abs(edges[:, 1])
    main = np.where(steep, edges[:, 1], edges[:, 0])
    backward = main < 0
    # Each edge is drawn from its end with the smaller main coordinate, so that both directions give the same points.
    origin = np.where(backward[:, None], corners + edges, corners)
    slope = edges / np.where(main == 0, 1, main)[:, None]
    edge = np.repeat(np.arange(len(edges)), lengths + 1)
    along = ranges(np.zeros_like(lengths), lengths + 1)
    along = np.where(backward[edge], lengths[edge] - along, along)
    points = np.trunc(origin[edge] + slope[edge] * along[:, None] + 0.5)
    main_axis = steep.astype(np.int64)[edge]
    rows = np.arange(len(points))
    points[rows, main_axis] = origin[edge, main_axis] + along
    before, after = points[:-1], points[1:]
    column = (np.minimum(before[:, 0], after[:, 0]) + 0.5) / 5 - 0.5
    row = np.ceil(((np.minimum(before[:, 1], after[:, 1]) + 0.5) / 5 - 0.5).clip(0, height)).astype(np.int64)
    keep = (before[:, 0] != after[:, 0]) & (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    mask = np.zeros((width, height), bool)
    if keep.any():  # the crossings in their order, down the columns, are where inside and outside take turns
        left, right = int(column[keep].min()), int(column[keep].max()) + 1
        places = np.sort((column[keep].astype(np.int64) - left) * height + row[keep])
        runs = np.diff(places, prepend=0, append=(right - left) * height)
        mask[left:right] = runs_to_mask(runs, (height, right - left)).T
    return mask.T


def _spans(lengths: list[int]) -> np.ndarray:
    ends = np.cumsum([0, *lengths], dtype=np.int64)
    return np.stack([ends[:-1], ends[1:]], axis=1)
