"""Boxes that can be used and yet are hardly what was meant, all of a split at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.columns import Columns
from baimu.datasets.doctor.report import Finding
from baimu.datasets.flat import ranges

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

PIXEL = 0.99  # of a side, so that a pixel written as a fraction is one
RATIO = 50
WHOLE = 0.995  # of both sides


def check(opened: Opened) -> Iterator[Finding]:
    """B105, B107, B108, B112, B115, B116."""
    for split, part in opened.splits.items():
        if isinstance(part, FileSource):
            yield from _split(split, part)


class Rows:
    """The objects of a split in the order of its images, and how a finding names one."""

    def __init__(self, split: str, source: FileSource) -> None:
        self.split, self.source = split, source
        self.places = ranges(source.spans[:, 0], source.spans[:, 1])
        self.images = np.repeat(np.arange(len(source)), source.spans[:, 1])
        self.columns: Columns = source.columns.take(self.places)

    def finding(self, code: str, row: int, message: str, action: str = "used as it is") -> Finding:
        image = int(self.images[row])
        file, record = self.source.record(image, int(self.places[row]))
        box = tuple(self.columns.boxes[row].tolist())
        return Finding(code, file, record, message, action, self.split, self.source.name(image), box)

    def text(self, row: int) -> str:
        x1, y1, x2, y2 = self.columns.boxes[row].tolist()
        return f"box ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})"


def _split(split: str, source: FileSource) -> Iterator[Finding]:
    rows = Rows(split, source)
    boxes, areas = rows.columns.boxes.astype(np.float64), rows.columns.areas
    sides = boxes[:, 2:] - boxes[:, :2]
    short, long = sides.min(1, initial=np.inf), sides.max(1, initial=0)
    for row in np.flatnonzero(short < PIXEL).tolist():
        yield rows.finding("B105", row, f"{rows.text(row)} is {sides[row, 0]:.3g} wide and {sides[row, 1]:.3g} high")
    for row in np.flatnonzero((short >= PIXEL) & (long > RATIO * short)).tolist():
        yield rows.finding("B116", row, f"{rows.text(row)} is {sides[row, 0]:.3g} wide and {sides[row, 1]:.3g} high")
    whole = (sides >= WHOLE * source.sizes[rows.images][:, ::-1]).all(1)
    for row in np.flatnonzero(whole).tolist():
        yield rows.finding("B115", row, f"{rows.text(row)} is the whole image")
    large = np.flatnonzero(areas > 1.02 * sides.prod(1) + 2).tolist()
    clipped = {(p.file, p.record) for p in source.problems if p.code == "B104"} if large else set()
    for row in large:
        if source.record(int(rows.images[row]), int(rows.places[row])) in clipped:
            continue  # the area is that of the whole box
        text = f"area {areas[row]:g} is more than the {sides[row].prod():g} square pixels of its box"
        yield rows.finding("B112", row, text)
    yield from _doubles(rows)


def _doubles(rows: Rows) -> Iterator[Finding]:
    """Equal boxes of an image, to a hundredth of a pixel."""
    rounded = np.round(rows.columns.boxes.astype(np.float64) * 100).astype(np.int64)
    keys = np.column_stack([rows.images, rounded])
    order = np.lexsort((rows.places, *keys.T[::-1]))
    same = (keys[order][1:] == keys[order][:-1]).all(1)
    labels, crowd = rows.columns.labels, rows.columns.crowd
    first = 0
    for at in np.flatnonzero(same).tolist():
        first = first if at and same[at - 1] and at > first else at
        one, other = int(order[first]), int(order[at + 1])
        if crowd[one] or crowd[other]:
            continue
        names = [rows.source.classes[int(labels[i])] for i in (one, other)]
        record = rows.source.record(int(rows.images[one]), int(rows.places[one]))[1]
        if names[0] == names[1]:
            yield rows.finding("B107", other, f"{rows.text(other)} of {names[1]!r} is that of {record}")
        else:
            text = f"{rows.text(other)} is {names[1]!r}, in {record} {names[0]!r}"
            yield rows.finding("B108", other, text)


def doubled(source: FileSource) -> np.ndarray:
    """(T,) bool by ``columns``: the objects that repeat an earlier one's box and class, which ``--fix`` leaves out."""
    rows, found = Rows("", source), np.zeros(len(source.columns.boxes), bool)
    rounded = np.round(rows.columns.boxes.astype(np.float64) * 100).astype(np.int64)
    keys = np.column_stack([rows.images, rounded, rows.columns.labels])[~rows.columns.crowd]
    places = rows.places[~rows.columns.crowd]
    order = np.lexsort((places, *keys.T[::-1]))
    same = (keys[order][1:] == keys[order][:-1]).all(1)
    found[places[order[1:]][same]] = True
    return found
