"""COCO's AP and AR of boxes and of masks, equal to pycocotools to the last digit, through hotcoco's Rust matching.

N images, M annotated objects, D detections, K classes. The protocol is that of "Microsoft COCO: Common Objects in
Context" (1405.0312) as pycocotools implements it: IoU thresholds .50:.05:.95, recall at 0:.01:1, areas split at 32²
and 96², at most 1, 10 and 100 detections an image and class. Crowd objects, and VOC's difficult ones, may be found any
number of times or not at all. A figure that is not defined (no object of that class or size) is nan, where
pycocotools says −1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval

from baimu.datasets.source import DetectionSource
from baimu.masks import Masks
from baimu.metrics.scores import FIGURES, MASK_FIGURES, BoxScores, MaskScores
from baimu.metrics.tables import Found, Truth, found_table, overlapping_pairs, truth_table
from baimu.results import Detections


def coco_evaluate(
    source: DetectionSource,
    detections: Sequence[Detections],
    *,
    confusion_score: float = 0.3,
    truth: Truth | None = None,
) -> BoxScores:
    """Score ``detections``, one for each image of ``source`` in its order, by the COCO protocol.

    Give detections down to the lowest scores (a threshold cuts the curve off). ``confusion_score`` is the lowest
    score in the confusion matrix. Boxes are compared as float64 differences of the float32 corners, so that a file
    written by :meth:`Detections.to_coco` scores the same to the last digit. Masks are scored where both the detections
    and the data have them. Give ``truth`` (:func:`~baimu.metrics.tables.truth_table`) to score one data set more than
    once: drawing its masks takes a while. Raises :class:`~baimu.errors.DataError` when the count of results or the
    class names differ from the data set's.
    """
    found = found_table(detections, source)
    return score_tables(
        truth_table(source, masks=found.masks is not None) if truth is None else truth,
        found,
        tuple(source.classes),
        image_rank=_rank([source.image_id(i) for i in range(len(source))]),
        class_rank=_rank(source.category_ids),
        confusion_score=confusion_score,
    )


def score_tables(
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
    masks = None
    if truth.masks is not None and found.masks is not None:
        masks = MaskScores(**_figures(truth, found, image_rank, class_rank, MASK_FIGURES))
    return BoxScores(
        **_figures(truth, found, image_rank, class_rank, FIGURES),
        classes=classes,
        images=len(image_rank),
        class_objects=np.bincount(truth.labels[~truth.crowd], minlength=len(classes)),
        class_detections=np.bincount(found.labels, minlength=len(classes)),
        confusion=confusion_matrix(truth, found, len(classes), min_score=confusion_score),
        confusion_score=confusion_score,
        masks=masks,
    )


def _figures(
    truth: Truth, found: Found, image_rank: np.ndarray, class_rank: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """The twelve figures by these names, and the curves of each class: fields that boxes and masks share."""
    evaluation = _evaluate(truth, found, image_rank, class_rank, masks=names is MASK_FIGURES)
    arrays = evaluation.eval
    assert arrays is not None  # accumulate() has run
    # precision: thresholds, recalls, classes, areas (all first), limits (100 last)
    precision = _defined(arrays["precision"][:, :, class_rank, 0, -1])
    recall = _defined(arrays["recall"][:, class_rank, 0, -1])
    return {
        **dict(zip(names, _defined(np.asarray(evaluation.stats)).tolist(), strict=True)),
        "class_ap": precision.mean((0, 1)),
        "class_ap50": precision[0].mean(0),
        "class_ar": recall.mean(0),
        "precision": precision[0].T.copy(),
        "precision_scores": _defined(arrays["scores"][0][:, class_rank, 0, -1]).T.copy(),
    }


def confusion_matrix(
    truth: Truth, found: Found, num_classes: int, *, min_score: float = 0.3, iou_threshold: float = 0.5
) -> np.ndarray:
    """(K + 1, K + 1) counts: row the object's class, column the detection's, the last of each is background.

    Best score first, each detection takes the free object, of any class, that it overlaps most, with an IoU of at
    least ``iou_threshold``. Crowd objects are not counted, nor are unmatched detections on a crowd of their class.
    """
    clear = found.scores >= min_score
    found = Found(found.images[clear], found.boxes[clear], found.scores[clear], found.labels[clear])
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


def _evaluate(truth: Truth, found: Found, image_rank: np.ndarray, class_rank: np.ndarray, *, masks: bool) -> COCOeval:
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
        segmentation=_segmentations(truth.masks) if masks else None,
    )
    columns = (image_rank[found.images], found.boxes, found.scores, class_rank[found.labels])
    rows = np.column_stack(columns)
    results = annotations.load_res(rows, segmentation=_segmentations(found.masks) if masks else None)
    if masks and found.masks:  # a detection is small or large by its mask, not by its box
        areas = np.concatenate([m.areas for m in found.masks])
        results.update_anns(ids=np.arange(1, len(areas) + 1), area=areas)
    evaluation = COCOeval(annotations, results, "segm" if masks else "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # fills stats without printing
    return evaluation


def _segmentations(masks: Sequence[Masks] | None) -> list[Any]:
    return [segmentation for of_image in masks or () for segmentation in of_image.to_coco()]


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
