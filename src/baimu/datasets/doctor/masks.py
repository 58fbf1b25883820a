"""Outlines of objects: whether they enclose something, lie in their image, and agree with their boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.boxes import Rows
from baimu.datasets.doctor.report import Finding
from baimu.datasets.flat import ranges
from baimu.datasets.outlines import Outlines

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

SLACK, SHARE = 2.0, 0.05  # pixels, or this share of the box's side, by which outline and box may differ
NOTHING = 1e-3  # square pixels


def check(opened: Opened) -> Iterator[Finding]:
    """M105, M106, M107, A112."""
    for split, part in opened.splits.items():
        if isinstance(part, FileSource) and part.columns.outlines is not None:
            yield from _split(Rows(split, part))


class Hulls(NamedTuple):
    """Of R objects with polygons: their rows, the box around all points (R, 4), and the area enclosed (R,)."""

    rows: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray


def hulls(outlines: Outlines) -> Hulls:
    """Those of all objects that have polygons, without drawing them."""
    rows = np.flatnonzero(outlines.drawn & ~outlines.are_runs)
    spans = outlines.object_spans[rows]
    parts = ranges(spans[:, 0], spans[:, 1] - spans[:, 0])
    owner = np.repeat(np.arange(len(rows)), spans[:, 1] - spans[:, 0])
    starts, lengths = outlines.part_spans[parts, 0], np.diff(outlines.part_spans[parts], axis=1)[:, 0]
    points = outlines.words[ranges(starts, lengths)].view(np.float32).reshape(-1, 2).astype(np.float64)
    counts = lengths // 2
    first = np.cumsum(counts) - counts
    following = np.arange(1, len(points) + 1)
    following[first + counts - 1] = first
    cross = points[:, 0] * points[following, 1] - points[following, 0] * points[:, 1]
    if not len(rows):
        return Hulls(rows, np.zeros((0, 4)), np.zeros(0))
    areas = np.bincount(owner, np.abs(np.add.reduceat(cross, first)) / 2, minlength=len(rows))
    begin = np.flatnonzero(np.diff(owner, prepend=-1))
    low = np.minimum.reduceat(np.minimum.reduceat(points, first), begin)
    high = np.maximum.reduceat(np.maximum.reduceat(points, first), begin)
    return Hulls(rows, np.concatenate([low, high], 1), areas)


def empty(outlines: Outlines) -> np.ndarray:
    """(T,) bool: outlines that enclose nothing."""
    found, polygons = np.zeros(len(outlines.are_runs), bool), hulls(outlines)
    found[polygons.rows[polygons.areas < NOTHING]] = True
    for row in np.flatnonzero(outlines.are_runs & outlines.drawn).tolist():
        start, stop = outlines.part_spans[outlines.object_spans[row, 0]]
        found[row] = not outlines.words[start + 1 : stop : 2].any()
    return found


def _split(rows: Rows) -> Iterator[Finding]:
    outlines = rows.columns.outlines
    assert outlines is not None
    nothing = empty(outlines)
    for row in np.flatnonzero(nothing).tolist():
        yield rows.finding("M106", row, "the outline encloses nothing", "an empty mask trains")
    found = hulls(outlines)
    sizes = rows.source.sizes[rows.images[found.rows]][:, ::-1]
    beyond = np.maximum(-found.boxes[:, :2], found.boxes[:, 2:] - sizes).max(1, initial=0)
    for i in np.flatnonzero(beyond > SLACK / 2).tolist():
        text = f"the outline leaves the image by {beyond[i]:.4g} pixels"
        yield rows.finding("M107", int(found.rows[i]), text, "the mask ends at the image's edge")
    boxes = rows.columns.boxes[found.rows].astype(np.float64)
    allowed = np.maximum(SLACK, SHARE * np.tile(boxes[:, 2:] - boxes[:, :2], 2))
    inside = np.concatenate([found.boxes[:, :2].clip(0), np.minimum(found.boxes[:, 2:], sizes)], 1)
    differ = (np.abs(inside - boxes) > allowed).any(1) & ~nothing[found.rows]
    for i in np.flatnonzero(differ).tolist():
        x1, y1, x2, y2 = found.boxes[i].tolist()
        text = f"the outline spans ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}), its {rows.text(int(found.rows[i]))}"
        yield rows.finding("M105", int(found.rows[i]), text)
    for row in found.rows[rows.columns.crowd[found.rows]].tolist():
        yield rows.finding("A112", row, "is a crowd with polygons")
