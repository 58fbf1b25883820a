"""PASCAL VOC average precision: "The PASCAL Visual Object Classes Challenge" (Everingham et al., 2010), and its devkit.

The devkit's matching differs from COCO's: a detection answers for the object of its class that it overlaps most, *even
if that one is taken* (then it is a false positive), and not for the best free one. Difficult objects are neither to be
found nor wrong to find. The code that people quote differs in three details, which are options here:

=============================  ===========  =================  ======================
code                           IoU reached  pixel convention   ``method``
=============================  ===========  =================  ======================
devkit ``VOCevaldet.m``        ``>=``       inclusive (+1)     11_points, area
py-faster-rcnn ``voc_eval``    ``>``        inclusive (+1)     11_points_arange, area
mmdet ``eval_map``             ``>=``       continuous         11_points_arange, area
=============================  ===========  =================  ======================

D detections, M objects, K classes, N images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baimu.datasets.source import DetectionSource
from baimu.metrics.tables import Found, Truth, found_table, overlapping_pairs, truth_table
from baimu.results import Detections

Method = Literal["area", "11_points", "11_points_arange"]
"""``area`` under the curve's monotone envelope (VOC 2010 on); the mean of ``11_points`` (VOC 2007); the same with
recalls from a floating ``arange``, whose .6000000000000001 asks for more than .6: only to repeat old figures."""


@dataclass(frozen=True, eq=False)
class VocScores:
    """VOC AP of every class, in 0…1, or nan for a class without objects that count."""

    classes: tuple[str, ...]
    class_ap: np.ndarray  # (K,)
    class_objects: np.ndarray  # (K,) int64, difficult not counted
    class_detections: np.ndarray  # (K,) int64
    iou_threshold: float
    method: Method

    @property
    def mean_ap(self) -> float:
        """The mean over the classes that have objects; nan if none has."""
        defined = self.class_ap[~np.isnan(self.class_ap)]
        return float(defined.mean()) if len(defined) else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; undefined: None."""
        ap = [None if math.isnan(a) else a for a in self.class_ap.tolist()]
        return {
            "mean_ap": None if math.isnan(self.mean_ap) else self.mean_ap,
            "iou_threshold": self.iou_threshold,
            "method": self.method,
            "class_ap": dict(zip(self.classes, ap, strict=True)),
        }


def voc_evaluate(
    source: DetectionSource,
    detections: Sequence[Detections],
    *,
    iou_threshold: float = 0.5,
    method: Method = "area",
    inclusive: bool = False,
    strict: bool = False,
) -> VocScores:
    """VOC AP of ``detections``, one for each image of ``source`` in its order.

    ``inclusive`` counts the last pixel as part of a box, as the devkit does for its integer corners; baimu's VOC
    reader makes continuous boxes, for which False gives the devkit's numbers. ``strict`` asks for an IoU above the
    threshold instead of one that reaches it. Equal scores are taken in the order of the images. Raises
    :class:`~baimu.errors.DataError` when the count of results or the class names differ.
    """
    classes = tuple(source.classes)
    truth, found = truth_table(source), found_table(detections, source)
    hits = voc_hits(truth, found, iou_threshold, inclusive=inclusive, strict=strict)
    order = np.argsort(-found.scores, kind="stable")
    hits, labels = hits[order], found.labels[order]
    objects = np.bincount(truth.labels[~truth.crowd], minlength=len(classes))
    ap = [average_precision(hits[labels == k], int(objects[k]), method=method) for k in range(len(classes))]
    counts = np.bincount(found.labels, minlength=len(classes))
    return VocScores(classes, np.array(ap, np.float64), objects, counts, iou_threshold, method)


def voc_hits(
    truth: Truth, found: Found, iou_threshold: float = 0.5, *, inclusive: bool = False, strict: bool = False
) -> np.ndarray:
    """(D,) int8: 1 true positive, 0 false positive, −1 ignored (its best object is difficult).

    Each object is a hit for the best score among the detections that overlap it most, of equal scores the first.
    """
    plain = truth._replace(crowd=np.zeros_like(truth.crowd))  # difficult objects overlap like any other
    pairs = overlapping_pairs(found, plain, iou_threshold, inclusive=inclusive)
    same = truth.labels[pairs.truth] == found.labels[pairs.found]
    d, t, overlaps = (column[same] for column in pairs)
    best_first = np.lexsort((t, -overlaps, d))  # of equal overlaps the first object
    d, first = np.unique(d[best_first], return_index=True)
    t, overlaps = t[best_first][first], overlaps[best_first][first]
    if strict:
        above = overlaps > iou_threshold
        d, t = d[above], t[above]

    hits = np.zeros(len(found.scores), np.int8)
    by_score = np.argsort(-found.scores[d], kind="stable")
    _, winners = np.unique(t[by_score], return_index=True)
    hits[d[by_score][winners]] = 1
    hits[d[truth.crowd[t]]] = -1
    return hits


def average_precision(hits: np.ndarray, objects: int, *, method: Method = "area") -> float:
    """AP of one class from ``hits`` (D,), best score first (1 true, 0 false, −1 ignored), over its count of objects.

    Recalls are compared with a tolerance of 1e-9, save by ``11_points_arange``. nan if there are no objects.
    """
    if objects == 0:
        return math.nan
    hits = hits[hits >= 0]
    true = np.cumsum(hits)
    recall = true / objects
    precision = true / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1] if len(hits) else precision
    if method == "area":
        return float((np.diff(recall, prepend=0.0) * envelope).sum())
    points = np.arange(0.0, 1.1, 0.1) if method == "11_points_arange" else np.arange(11) / 10 - 1e-9
    at = np.searchsorted(recall, points, side="left")
    return float(np.append(envelope, 0.0)[at].sum() / 11)
