"""Mean IoU, Dice and accuracy of label maps against scikit-learn on the decided pixels of all images."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from baimu.metrics.segmentation import confusion_of, score_maps
from tests.metrics.equality.case import Case, Subject

UNDECIDED = 255


def random_case(seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """Pairs of truth and found: undecided pixels, absent classes, images of one pixel, of none, all undecided."""
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(1, 8))
    absent = rng.random(num_classes) < 0.2
    there = np.flatnonzero(~absent) if not absent.all() else np.array([0])
    pairs = []
    for _ in range(rng.integers(0, 5)):
        shape = tuple(rng.choice([1, 3, 8, 17], 2)) if rng.random() < 0.95 else (0, 4)
        truth = rng.choice(there, shape).astype(np.uint8)
        guess = rng.choice(there if rng.random() < 0.7 else num_classes, shape)
        found = np.where(rng.random(shape) < rng.choice([0, 0.6, 1]), truth, guess).astype(np.uint8)
        truth[rng.random(shape) < rng.choice([0, 0.2, 1], p=[0.4, 0.5, 0.1])] = UNDECIDED
        pairs.append((truth, found))
    return pairs, num_classes


def scikit_learn(truth: np.ndarray, found: np.ndarray, num_classes: int) -> dict[str, Any]:
    """Flat, decided pixels. Where nothing is to be divided by, its answer is what ``zero_division`` says: then nan."""
    labels = list(range(num_classes))
    each: dict[str, np.ndarray] = {}
    for name, metric in (
        ("class_iou", jaccard_score),
        ("class_dice", f1_score),
        ("class_accuracy", recall_score),
        ("class_precision", precision_score),
    ):
        two = [_each(metric, truth, found, labels, zero) for zero in (0.0, 1.0)]
        each[name] = np.where(two[0] == two[1], two[0], np.nan)
    total = len(truth)
    shares = np.bincount(truth, minlength=num_classes) / max(1, total)
    return {
        **each,
        "confusion": _confusion(truth, found, labels),
        "miou": _mean(each["class_iou"]),
        "macc": _mean(each["class_accuracy"]),
        "mdice": _mean(each["class_dice"]),
        "aacc": accuracy_score(truth, found) if total else math.nan,
        "fwiou": float(np.nansum(each["class_iou"] * shares)) if total else math.nan,
    }


def _each(metric: Any, truth: np.ndarray, found: np.ndarray, labels: list[int], zero: float) -> np.ndarray:
    if not len(truth):  # scikit-learn refuses empty input
        return np.full(len(labels), zero)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined figures: they are asked for
        return metric(truth, found, labels=labels, average=None, zero_division=zero)


def _confusion(truth: np.ndarray, found: np.ndarray, labels: list[int]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single class: that is meant
        return confusion_matrix(truth, found, labels=labels) if len(truth) else np.zeros((len(labels),) * 2)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def compare(seed: int) -> Case:
    pairs, num_classes = random_case(seed)
    scores = score_maps([confusion_of(t, f, num_classes) for t, f in pairs], [str(k) for k in range(num_classes)])
    truth, found = (np.concatenate([np.zeros(0, np.uint8), *(p[i].ravel() for p in pairs)]) for i in (0, 1))
    decided = truth != UNDECIDED
    theirs = scikit_learn(truth[decided].astype(int), found[decided].astype(int), num_classes)
    traits = {
        "undecided pixels": not decided.all(),
        "no images": not pairs,
        "nothing decided": bool(pairs) and not decided.any(),
        "class nowhere": bool(np.isnan(theirs["class_iou"]).any()),
        "class found that is not there": bool((~np.isin(found[decided], truth[decided])).any()),
        "one class": num_classes == 1,
        "all right": bool(decided.any()) and bool((truth == found)[decided].all()),
    }
    return Case({name: getattr(scores, name) for name in theirs}, theirs, {n for n, true in traits.items() if true})


TRAITS = (
    *("undecided pixels", "no images", "nothing decided", "class nowhere", "class found that is not there"),
    *("one class", "all right"),
)
MAPS = Subject("mIoU, Dice, pixel accuracy", "scikit-learn", ("scikit-learn",), 1e-12, TRAITS, compare)
