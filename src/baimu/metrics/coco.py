"""COCO box AP and AR, equal to pycocotools to the last digit, through hotcoco's Rust matching.

N images, M annotated objects, D detections, K classes. The protocol is that of "Microsoft COCO: Common Objects in
Context" (1405.0312) as pycocotools implements it: IoU thresholds .50:.05:.95, recall at 0:.01:1, areas split at 32²
and 96², at most 1, 10 and 100 detections an image and class. Crowd objects, and VOC's difficult ones, may be found any
number of times or not at all. A figure that is not defined (no object of that class or size) is nan, where
pycocotools says −1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval

from baimu.datasets.source import DetectionSource
from baimu.metrics.tables import Found, Truth, found_table, overlapping_pairs, truth_table
from baimu.results import Detections

FIGURES = (
    "box_ap",
    "box_ap50",
    "box_ap75",
    "box_ap_small",
    "box_ap_medium",
    "box_ap_large",
    "box_ar_1",
    "box_ar_10",
    "box_ar_100",
    "box_ar_small",
    "box_ar_medium",
    "box_ar_large",
)
"""The twelve COCO figures, in pycocotools' order."""

RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls at which :attr:`BoxScores.precision` is given."""


@dataclass(frozen=True, eq=False)
class BoxScores:
    """COCO's twelve figures, each in 0…1 or nan where undefined, and what lies behind them, by class."""

    box_ap: float
    box_ap50: float
    box_ap75: float
    box_ap_small: float
    box_ap_medium: float
    box_ap_large: float
    box_ar_1: float
    box_ar_10: float
    box_ar_100: float
    box_ar_small: float
    box_ar_medium: float
    box_ar_large: float
    classes: tuple[str, ...]
    images: int
    class_ap: np.ndarray  # (K,) over all thresholds
    class_ap50: np.ndarray  # (K,)
    class_ar: np.ndarray  # (K,) at 100 detections
    class_objects: np.ndarray  # (K,) int64, crowd not counted
    class_detections: np.ndarray  # (K,) int64, as given, before COCO's limit of 100
    precision: np.ndarray  # (K, 101) at IoU .5, at RECALLS
    precision_scores: np.ndarray  # (K, 101) the score at which each of these recalls is reached; 0: never
    confusion: np.ndarray  # (K + 1, K + 1) int64, row truth, column found, the last of each is background
    confusion_score: float  # detections below it are not in the confusion matrix

    def figures(self) -> dict[str, float]:
        """The twelve figures by name, in COCO's order; undefined ones are nan."""
        return {name: getattr(self, name) for name in FIGURES}

    def table(self) -> list[dict[str, Any]]:
        """Rows for printing: all classes together, then each of them, with object and detection counts."""
        total = ("all", int(self.class_objects.sum()), int(self.class_detections.sum()))
        rows = [(*total, self.box_ap, self.box_ap50, self.box_ar_100)]
        columns = (self.class_objects, self.class_detections, self.class_ap, self.class_ap50, self.class_ar)
        rows += zip(self.classes, *(c.tolist() for c in columns), strict=True)
        return [dict(zip(("class", "objects", "detections", "ap", "ap50", "ar"), row, strict=True)) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Figures, classes and confusion matrix ready for JSON (undefined: None); the curves stay in the arrays."""
        rows = [{k: _json(v) for k, v in row.items()} for row in self.table()[1:]]
        return {
            **{name: _json(value) for name, value in self.figures().items()},
            "images": self.images,
            "classes": rows,
            "confusion": self.confusion.tolist(),
            "confusion_score": self.confusion_score,
        }

    def __str__(self) -> str:
        width = max(5, *(len(str(row["class"])) for row in self.table()))
        lines = [f"{'class':<{width}}  objects  detections     AP   AP50     AR"]
        for row in self.table():
            figures = "  ".join("    –" if math.isnan(row[k]) else f"{row[k]:.3f}" for k in ("ap", "ap50", "ar"))
            lines.append(f"{row['class']:<{width}}  {row['objects']:>7}  {row['detections']:>10}  {figures}")
        return "\n".join(lines)


def coco_evaluate(
    source: DetectionSource, detections: Sequence[Detections], *, confusion_score: float = 0.3
) -> BoxScores:
    """Score ``detections``, one for each image of ``source`` in its order, by the COCO protocol.

    Give detections down to the lowest scores (a threshold cuts the curve off). ``confusion_score`` is the lowest
    score in the confusion matrix. Boxes are compared as float64 differences of the float32 corners, so that a file
    written by :meth:`Detections.to_coco` scores the same to the last digit. Raises :class:`~baimu.errors.DataError`
    when the count of results or the class names differ from the data set's.
    """
    return score_boxes(
        truth_table(source),
        found_table(detections, source),
        tuple(source.classes),
        image_rank=_rank([source.image_id(i) for i in range(len(source))]),
        class_rank=_rank(source.category_ids),
        confusion_score=confusion_score,
    )


def score_boxes(
    truth: Truth,
    found: Found,
    classes: tuple[str, ...],
    *,
    image_rank: np.ndarray,
    class_rank: np.ndarray | None = None,
    confusion_score: float = 0.3,
) -> BoxScores:
    """:func:`coco_evaluate` on columns.

    ``image_rank`` (N,) and ``class_rank`` (K,) are the places of images and labels in the order of the data set's own
    ids: equal scores are taken in the order of the image ids, and the mean over classes is summed in the order of the
    category ids, which can move the last digit.
    """
    class_rank = np.arange(len(classes)) if class_rank is None else class_rank
    evaluation = _evaluate(truth, found, image_rank, class_rank)
    arrays = evaluation.eval
    assert arrays is not None  # accumulate() has run
    # precision: thresholds, recalls, classes, areas (all first), limits (100 last)
    precision = _defined(arrays["precision"][:, :, class_rank, 0, -1])
    recall = _defined(arrays["recall"][:, class_rank, 0, -1])
    figures = dict(zip(FIGURES, _defined(np.asarray(evaluation.stats)).tolist(), strict=True))
    return BoxScores(
        **figures,
        classes=classes,
        images=len(image_rank),
        class_ap=precision.mean((0, 1)),
        class_ap50=precision[0].mean(0),
        class_ar=recall.mean(0),
        class_objects=np.bincount(truth.labels[~truth.crowd], minlength=len(classes)),
        class_detections=np.bincount(found.labels, minlength=len(classes)),
        precision=precision[0].T.copy(),
        precision_scores=_defined(arrays["scores"][0][:, class_rank, 0, -1]).T.copy(),
        confusion=confusion_matrix(truth, found, len(classes), min_score=confusion_score),
        confusion_score=confusion_score,
    )


def confusion_matrix(
    truth: Truth, found: Found, num_classes: int, *, min_score: float = 0.3, iou_threshold: float = 0.5
) -> np.ndarray:
    """(K + 1, K + 1) counts: row the object's class, column the detection's, the last of each is background.

    Best score first, each detection takes the free object, of any class, that it overlaps most, with an IoU of at
    least ``iou_threshold``. Crowd objects are not counted, nor are unmatched detections on a crowd of their class.
    """
    found = Found(*(column[found.scores >= min_score] for column in found))
    pairs = overlapping_pairs(found, truth, iou_threshold)
    crowd = truth.crowd[pairs.truth]
    on_crowd = np.zeros(len(found.scores), bool)
    on_crowd[pairs.found[crowd & (truth.labels[pairs.truth] == found.labels[pairs.found])]] = True

    order = np.lexsort((-pairs.overlaps, pairs.found, -found.scores[pairs.found]))
    order = order[~crowd[order]]
    object_of = np.full(len(found.scores), -1)
    taken: set[int] = set()
    last = -1  # the detection that has its object already
    for d, t in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if d != last and t not in taken:
            object_of[d] = t
            taken.add(t)
            last = d
    free = ~truth.crowd
    free[list(taken)] = False
    matched = object_of >= 0

    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(counts, (truth.labels[object_of[matched]], found.labels[matched]), 1)
    counts[-1] += np.bincount(found.labels[~matched & ~on_crowd], minlength=num_classes + 1)
    counts[:, -1] += np.bincount(truth.labels[free], minlength=num_classes + 1)
    return counts


def _evaluate(truth: Truth, found: Found, image_rank: np.ndarray, class_rank: np.ndarray) -> COCOeval:
    """hotcoco's evaluation with ranks for ids. Own annotation ids from 1: pycocotools takes an id of 0 for a miss."""
    images: list[dict[str, Any]] = [{"id": i, "height": 0, "width": 0, "file_name": ""} for i in range(len(image_rank))]
    categories: list[dict[str, Any]] = [{"id": k, "name": str(k)} for k in range(len(class_rank))]
    annotations = COCO.from_arrays(
        images,
        categories,
        image_rank[truth.images],
        class_rank[truth.labels],
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    columns = (image_rank[found.images], found.boxes, found.scores, class_rank[found.labels])
    results = annotations.load_res(np.column_stack(columns))
    evaluation = COCOeval(annotations, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # fills stats without printing
    return evaluation


def _rank(ids: Sequence[int | str]) -> np.ndarray:
    """The place of each id among the sorted ids; their own order where they are not different whole numbers."""
    if not all(isinstance(i, int | np.integer) for i in ids) or len(set(ids)) < len(ids):
        return np.arange(len(ids))
    rank = np.empty(len(ids), np.int64)
    rank[np.argsort(np.asarray(ids, np.int64))] = np.arange(len(ids))
    return rank


def _defined(values: np.ndarray) -> np.ndarray:
    """pycocotools' −1 as nan."""
    return np.where(values < 0, np.nan, values)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
