"""Annotations and detections of a whole data set as flat columns, and the pairs of them that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from baimu.datasets.annotations import has_masks, without_masks
from baimu.datasets.source import DetectionSource, Objects
from baimu.errors import DataError
from baimu.masks import Masks
from baimu.results import Detections


class Truth(NamedTuple):
    """M annotated objects, grouped by image: ``images`` (M,) is sorted and holds positions 0…N−1.

    ``boxes`` (M, 4) float64, COCO's x, y, width, height in source pixels; ``labels`` (M,) in 0…K−1; ``crowd`` (M,)
    bool, crowd or difficult; ``areas`` (M,) float64, the annotations' own; ``masks``, if asked for and there, those of
    each of the N images.
    """

    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    masks: Sequence[Masks] | None = None


class Found(NamedTuple):
    """D detections, grouped by image like :class:`Truth`; ``scores`` (D,) float64."""

    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Sequence[Masks] | None = None


class Pairs(NamedTuple):
    """Detections and objects of the same image that overlap, in the order of ``found``."""

    found: np.ndarray  # (P,) positions in Found
    truth: np.ndarray  # (P,) positions in Truth
    overlaps: np.ndarray  # (P,) float64


def truth_table(source: DetectionSource, *, masks: bool = False) -> Truth:
    """The objects of every image of ``source``; with ``masks``, also theirs, packed, if they have some."""
    objects: list[Objects] = []
    packed: list[Masks] = []
    if not (masks and has_masks(source)):
        masks, source = False, without_masks(source)
    for i in range(len(source)):
        found = source.objects(i)
        if masks and found.masks is not None:
            packed.append(Masks.of(found.masks))
        objects.append(replace(found, masks=None))  # all bitmaps of a data set do not fit into memory
    return Truth(
        np.repeat(np.arange(len(objects)), [len(o) for o in objects]),
        _xywh([o.boxes for o in objects]),
        _column([o.labels for o in objects], np.int64),
        _column([o.crowd for o in objects], np.bool_),
        _column([o.areas for o in objects], np.float64),
        packed if masks and len(packed) == len(objects) else None,
    )


def found_table(detections: Sequence[Detections], source: DetectionSource) -> Found:
    """The detections of every image of ``source``, in its order.

    Raises :class:`~baimu.errors.DataError` if there is not one result for each image, or if the class names differ.
    """
    if len(detections) != len(source):
        raise DataError(
            f"{len(detections)} results for {len(source)} images; give one for each, in the data set's order"
        )
    classes = tuple(source.classes)
    for i, found in enumerate(detections):
        if found.names is not classes and tuple(found.names) != classes:
            raise DataError(
                f"{source.name(i)}: detections name the classes {_short(found.names)}, the data set {_short(classes)}; "
                "evaluate a model that was trained with the data set's classes"
            )
    packed = [d.masks for d in detections if d.masks is not None]
    return Found(
        np.repeat(np.arange(len(detections)), [len(d) for d in detections]),
        _xywh([d.boxes for d in detections]),
        _column([d.scores for d in detections], np.float64),
        _column([d.labels for d in detections], np.int64),
        packed if packed and len(packed) == len(detections) else None,
    )


def overlapping_pairs(
    found: Found, truth: Truth, iou_threshold: float, *, inclusive: bool = False, chunk: int = 1 << 16
) -> Pairs:
    """Every pair with IoU >= ``iou_threshold``, whatever the labels.

    Where the object is a crowd, the intersection is divided by the detection's own area, as COCO does; VOC clears the
    flag first. ``inclusive`` counts the last pixel as part of the box (+1 in each length). Memory is bounded by
    ``chunk`` pairs at a time.
    """
    start = np.searchsorted(truth.images, found.images, side="left")
    counts = np.searchsorted(truth.images, found.images, side="right") - start
    ends = np.cumsum(counts)
    offset = start - (ends - counts)  # position among all pairs + offset = position in truth
    a, b = _corners(found.boxes, inclusive), _corners(truth.boxes, inclusive)
    kept: list[Pairs] = []
    first = done = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, done + chunk, side="right")))
        here = counts[first:last]
        d = np.repeat(np.arange(first, last), here)
        t = np.arange(done, int(ends[last - 1])) + np.repeat(offset[first:last], here)
        overlaps = _overlaps([side[d] for side in a], [side[t] for side in b], truth.crowd[t])
        keep = np.flatnonzero(overlaps >= iou_threshold)
        kept.append(Pairs(d[keep], t[keep], overlaps[keep]))
        first, done = last, int(ends[last - 1])
    if not kept:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def _corners(boxes: np.ndarray, inclusive: bool) -> list[np.ndarray]:
    """Left, top, right, bottom and area of xywh boxes (n, 4): five contiguous columns."""
    left, top, width, height = boxes.T + np.array([0.0, 0.0, inclusive, inclusive])[:, None]
    return [left, top, left + width, top + height, width * height]


def _overlaps(a: list[np.ndarray], b: list[np.ndarray], crowd: np.ndarray) -> np.ndarray:
    """(P,) IoU of box columns, or intersection over the area of ``a`` where ``b`` is a crowd; 0 where that is 0 / 0."""
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    intersection = width.clip(0, out=width) * height.clip(0, out=height)
    union = np.where(crowd, a[4], a[4] + b[4] - intersection)
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def _xywh(boxes: list[np.ndarray]) -> np.ndarray:
    """float32 xyxy arrays as one float64 xywh column; the difference of two float32 numbers is exact in float64."""
    column = np.concatenate([np.zeros((0, 4), np.float32), *boxes]).astype(np.float64)
    column[:, 2:] -= column[:, :2]
    return column


def _column(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)


def _short(names: Sequence[str]) -> str:
    return f"({', '.join(names[:6])}{', …' if len(names) > 6 else ''}; {len(names)})"
