"""VOC's average precision against the definition, detection by detection, in whole numbers and fractions.

The devkit is Matlab. Its rules stand here as loops, with the three details in which the code that people quote differs
(see :mod:`baimu.metrics.voc`). Boxes are small whole numbers, so that overlaps fall on the threshold, and no rounding
decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from baimu.metrics.voc import voc_evaluate
from tests.metrics.arrays import make_detections, make_source
from tests.metrics.equality.case import Case, Subject

VARIANTS = {
    "devkit 2007": {"method": "11_points", "inclusive": True, "strict": False},
    "devkit 2010": {"method": "area", "inclusive": True, "strict": False},
    "py-faster-rcnn 2007": {"method": "11_points_arange", "inclusive": True, "strict": True},
    "py-faster-rcnn 2010": {"method": "area", "inclusive": True, "strict": True},
    "mmdet 2007": {"method": "11_points_arange", "inclusive": False, "strict": False},
    "continuous": {"method": "area", "inclusive": False, "strict": False},
}
Box = tuple[int, int, int, int]
Truth = list[tuple[int, Box, bool]]  # of an image: label, corners, difficult
Seen = list[tuple[int, Box, float]]  # of an image: label, corners, score


def iou(a: Box, b: Box, one: int) -> Fraction:
    across = max(0, min(a[2], b[2]) - max(a[0], b[0]) + one) * max(0, min(a[3], b[3]) - max(a[1], b[1]) + one)
    areas = [(box[2] - box[0] + one) * (box[3] - box[1] + one) for box in (a, b)]
    return Fraction(across, sum(areas) - across)


def class_ap(
    label: int, images: Sequence[Truth], found: Sequence[Seen], threshold: Fraction, method: str, one: int, strict: bool
) -> float:
    """Best score first, of equal ones the first image's: each is judged by the object that it overlaps most."""
    truths = [[(box, difficult) for k, box, difficult in image if k == label] for image in images]
    total = sum(not difficult for image in truths for _, difficult in image)
    if not total:
        return math.nan
    rows = [(score, i, box) for i, image in enumerate(found) for k, box, score in image if k == label]
    taken: set[tuple[int, int]] = set()
    true, judged = 0, 0
    curve: list[tuple[Fraction, Fraction]] = []  # recall and precision after each detection that counts
    for _, i, box in sorted(rows, key=lambda row: -row[0]):
        overlaps = [iou(box, other, one) for other, _ in truths[i]]
        best = max(overlaps, default=Fraction(-1))
        if best > threshold or (best == threshold and not strict):
            which = overlaps.index(best)
            if truths[i][which][1]:
                continue  # difficult: neither right nor wrong
            true += (i, which) not in taken
            taken.add((i, which))
        judged += 1
        curve.append((Fraction(true, total), Fraction(true, judged)))
    return area(curve) if method == "area" else eleven(curve, exact=method == "11_points")


def area(curve: list[tuple[Fraction, Fraction]]) -> float:
    """Below the best precision at each recall or a higher one."""
    found, before = Fraction(0), Fraction(0)
    for recall in sorted({r for r, _ in curve}):
        found += (recall - before) * max(p for r, p in curve if r >= recall)
        before = recall
    return float(found)


def eleven(curve: list[tuple[Fraction, Fraction]], *, exact: bool) -> float:
    """The mean best precision at recalls of 0, .1, … 1: as fractions, or as the floats of ``arange``, as they are."""
    points = [Fraction(t, 10) for t in range(11)] if exact else [t * 0.1 for t in range(11)]
    at = [max((p for r, p in curve if (r if exact else float(r)) >= t), default=Fraction(0)) for t in points]
    return float(sum(at, Fraction(0)) / 11)


def random_case(rng: np.random.Generator) -> tuple[list[Truth], list[Seen], int]:
    num_classes = int(rng.integers(1, 4))
    full, grid = rng.random() < 0.2, int(rng.integers(5, 14))  # full: recalls of exactly .3, .6 and .7

    def box() -> Box:
        x, y, w, h = (int(v) for v in (*rng.integers(0, grid, 2), *rng.integers(1, 12, 2)))
        return (x, y, x + w, y + h)

    images: list[Truth] = []
    found: list[Seen] = []
    for _ in range(int(rng.integers(1, 6))):
        count = int(rng.integers(0, 6) * (rng.random() < 0.85)) if not full else 10
        objects = [(int(rng.integers(num_classes)), box(), bool(rng.random() < 0.2 * (not full))) for _ in range(count)]
        images.append(objects)
        seen: Seen = []
        for _ in range(int(rng.integers(0, 12) * (rng.random() < 0.85))):
            near = objects[rng.integers(count)] if count and rng.random() < 0.6 else None
            label = near[0] if near and rng.random() < 0.9 else int(rng.integers(num_classes))
            place = near[1] if near and rng.random() < 0.5 else box()
            if near and rng.random() < 0.2:  # the upper half of it
                place = (*near[1][:3], near[1][1] + max(1, (near[1][3] - near[1][1]) // 2))
            seen.append((label, place, float(rng.integers(1, 8)) / 8))
        found.append(seen)
    return images, found, num_classes


def compare(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    images, found, num_classes = random_case(rng)
    threshold = rng.choice(["1/2", "1/2", "3/10", "7/10"])
    source, detections = make_source(images, num_classes), make_detections(found, num_classes)
    ours, theirs = {}, {}
    for name, options in VARIANTS.items():
        scores = voc_evaluate(source, detections, iou_threshold=float(Fraction(threshold)), **options)
        args = (Fraction(threshold), options["method"], int(options["inclusive"]), options["strict"])
        each = np.array([class_ap(k, images, found, *args) for k in range(num_classes)])
        ours |= {name: scores.class_ap, f"{name} mean": scores.mean_ap}
        theirs |= {name: each, f"{name} mean": np.nanmean(each) if not np.isnan(each).all() else math.nan}
    return Case(ours, theirs, _traits(images, found, num_classes, Fraction(threshold)))


def _traits(images: list[Truth], found: list[Seen], num_classes: int, threshold: Fraction) -> set[str]:
    scores = [score for seen in found for _, _, score in seen]
    labels = {label for objects in images for label, _, _ in objects}
    pairs = [(a, b) for objects, seen in zip(images, found, strict=True) for _, a, _ in objects for _, b, _ in seen]
    has = {
        "score ties": len(set(scores)) < len(scores),
        "difficult": any(difficult for objects in images for _, _, difficult in objects),
        "no objects": not labels,
        "no detections": not scores,
        "image without objects": not all(images),
        "image without detections": not all(found),
        "class without objects": len(labels) < num_classes,
        "one class": num_classes == 1,
        "identical boxes": any(a == b for a, b in pairs),
        "IoU on the threshold": any(iou(a, b, 1) == threshold for a, b in pairs),
    }
    return {name for name, true in has.items() if true}


TRAITS = (
    *("score ties", "difficult", "no objects", "no detections", "image without objects", "image without detections"),
    *("class without objects", "one class", "identical boxes", "IoU on the threshold"),
)
VOC = Subject("VOC AP, six variants", "the devkit's rules in fractions", (), 1e-12, TRAITS, compare)
