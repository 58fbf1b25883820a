"""COCO figures: the golden case, the figures of a class, the confusion matrix; pycocotools: test_equality.py."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baimu.errors import DataError
from baimu.metrics.coco import coco_evaluate, confusion_matrix
from baimu.metrics.scores import FIGURES
from baimu.metrics.tables import Found, Truth, found_table, overlapping_pairs, truth_table
from tests.metrics.equality.coco import pycocotools, random_boxes, xyxy


@pytest.mark.parametrize("seed", range(40))
def test_figures_of_a_class_are_means_over_pycocotools_arrays(seed):
    """The twelve figures and the curves: test_equality.py."""
    data, found = random_boxes(seed)
    ours, theirs = coco_evaluate(data, found), pycocotools(data, found)
    order = np.argsort(np.argsort(data.category_ids))
    precision, recall = theirs.eval["precision"][:, :, order, 0, 2], theirs.eval["recall"][:, order, 0, 2].mean(0)
    np.testing.assert_allclose(ours.class_ap, np.where(precision < 0, np.nan, precision).mean((0, 1)), rtol=1e-14)
    np.testing.assert_allclose(ours.class_ar, np.where(recall < 0, np.nan, recall), rtol=1e-14)


def test_more_than_a_hundred_detections_an_image(source, detections):
    """Beyond 100 of a class, detections do not count; the cut falls among equal scores."""
    rng = np.random.default_rng(0)
    objects = [(0, xyxy(*rng.uniform(0, 100, 2), 40, 40), False) for _ in range(5)]
    found = [(0, np.array(objects[i % 5][1]) + rng.normal(0, 6, 4), round(rng.random(), 1)) for i in range(260)]
    found = [(k, np.sort(b.reshape(2, 2), 0).reshape(4), s) for k, b, s in found]
    data, results = source([objects], 1), detections([found], 1)
    ours = list(coco_evaluate(data, results).figures().values())
    theirs = pycocotools(data, results).stats
    np.testing.assert_array_equal(ours, np.where(theirs < 0, np.nan, theirs))


def test_golden(source, detections):
    """The hand-made case of the specification and its twelve numbers."""
    data = source(
        [
            [
                (0, xyxy(10, 10, 50, 50), False),
                (0, xyxy(100, 100, 20, 20), False),
                (1, xyxy(30, 30, 120, 120), False),
            ],
            [(0, xyxy(0, 0, 100, 100), True), (0, xyxy(150, 150, 30, 40), False)],
            [],
        ],
        2,
    )
    found = detections(
        [
            [
                (0, xyxy(12, 11, 50, 50), 0.9),
                (0, xyxy(10, 10, 40, 50), 0.8),
                (0, xyxy(100, 102, 20, 20), 0.7),
                (1, xyxy(40, 30, 120, 110), 0.6),
            ],
            [(0, xyxy(10, 10, 30, 30), 0.95), (0, xyxy(151, 152, 30, 38), 0.5)],
            [(1, xyxy(5, 5, 50, 50), 0.65)],
        ],
        2,
    )
    golden = [0.466955, 0.667079, 0.667079, 0.7, 0.667987, 0.6, 0.433333, 0.683333, 0.683333, 0.7, 0.8, 0.6]
    scores = coco_evaluate(data, found)
    np.testing.assert_allclose([getattr(scores, name) for name in FIGURES], golden, atol=5e-7)
    assert scores.class_objects.tolist() == [3, 1]
    assert scores.class_detections.tolist() == [5, 2]
    # image 1: both objects of class 0 found, one box too many; its class 1 found; image 2: crowd hit, object found
    assert scores.confusion.tolist() == [[3, 0, 0], [0, 1, 0], [1, 1, 0]]


def test_undefined_figures_are_nan_and_none(source, detections):
    data = source([[(0, xyxy(10, 10, 20, 20), False)], []], 2)
    scores = coco_evaluate(data, detections([[], []], 2))
    assert scores.box_ap == 0.0
    assert math.isnan(scores.box_ap_large)
    assert math.isnan(scores.class_ap[1])
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["box_ap_large"] is None
    assert plain["classes"][1] == {
        "class": "class 1",
        "objects": 0,
        "detections": 0,
        "ap": None,
        "ap50": None,
        "ar": None,
    }
    assert "–" in str(scores)


def test_no_image_at_all(source):
    scores = coco_evaluate(source([], 2), [])
    assert all(math.isnan(v) for v in scores.figures().values())
    assert scores.confusion.sum() == 0


def test_perfect_detections_score_one(source, detections):
    boxes = [xyxy(10, 10, 20, 20), xyxy(50, 50, 60, 60), xyxy(10, 90, 100, 100)]  # small, medium, large
    data = source([[(k, b, False) for k, b in enumerate(boxes)]], 3, ids=["a.jpg"])
    scores = coco_evaluate(data, detections([[(k, b, 0.9) for k, b in enumerate(boxes)]], 3))
    np.testing.assert_allclose(list(scores.figures().values()), 1.0, rtol=1e-12)
    np.testing.assert_allclose([row["ap"] for row in scores.table()], 1.0, rtol=1e-12)
    assert scores.table()[0]["class"] == "all"
    np.testing.assert_array_equal(scores.confusion, np.diag([1, 1, 1, 0]))


def test_count_and_class_names_must_be_the_data_sets(source, detections):
    data = source([[], []], 2)
    with pytest.raises(DataError, match="1 results for 2 images"):
        coco_evaluate(data, detections([[]], 2))
    with pytest.raises(DataError, match=r"image 1: .*class 0; 1\).*class 1; 2\)"):
        coco_evaluate(data, detections([[], []], 1))


def test_crowds_stay_out_of_the_confusion_matrix(source, detections):
    """Any number of detections may lie on a crowd of their class; of another class they are wrong."""
    data = source([[(0, xyxy(0, 0, 100, 100), True), (1, xyxy(120, 120, 50, 50), False)]], 2)
    inside = [(0, xyxy(10, 10, 20, 20), 0.9), (0, xyxy(50, 50, 20, 20), 0.8), (1, xyxy(30, 30, 20, 20), 0.7)]
    found = found_table(detections([inside], 2), data)
    assert confusion_matrix(truth_table(data), found, 2).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_confusion_matrix_equals_hotcoco_without_crowds(seed):
    from hotcoco import COCO, COCOeval

    data, results = random_boxes(seed)
    truth, found = truth_table(data), found_table(results, data)
    truth = truth._replace(crowd=np.zeros_like(truth.crowd))
    scores = np.random.default_rng(seed).permutation(len(found.scores)) / max(1, len(found.scores))
    found = found._replace(scores=scores)  # all different: hotcoco takes equal ones class by class
    count = len(data.classes)
    reference = COCO.from_arrays(
        [{"id": i, "height": 1, "width": 1, "file_name": ""} for i in range(len(data))],
        [{"id": k, "name": str(k)} for k in range(count)],
        truth.images,
        truth.labels,
        truth.boxes,
    )
    rows = reference.load_res(np.column_stack([found.images, found.boxes, found.scores, found.labels]))
    theirs = COCOeval(reference, rows, "bbox").confusion_matrix(0.5, max_det=1000, min_score=0.3)["matrix"]
    np.testing.assert_array_equal(confusion_matrix(truth, found, count, min_score=0.3), theirs)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 1 << 18]), st.booleans())
def test_overlapping_pairs_equal_a_loop(seed, chunk, inclusive):
    """Whatever the chunk, every pair of the same image and no other, with its IoU."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (2, 5))
    images = [np.repeat(np.arange(5), c) for c in counts]
    boxes = [rng.integers(0, 30, (len(i), 4)).astype(float) for i in images]
    crowd = rng.random(len(images[1])) < 0.3
    truth = Truth(images[1], boxes[1], np.zeros(len(crowd), int), crowd, boxes[1][:, 2])
    found = Found(images[0], boxes[0], np.zeros(len(images[0])), np.zeros(len(images[0]), int))
    pairs = overlapping_pairs(found, truth, 0.2, inclusive=inclusive, chunk=chunk)
    expected = []
    for d, (x, y, w, h) in enumerate(boxes[0]):
        for t, (u, v, p, q) in enumerate(boxes[1]):
            one = float(inclusive)
            across = max(0.0, min(x + w, u + p) - max(x, u) + one) * max(0.0, min(y + h, v + q) - max(y, v) + one)
            area, other = (w + one) * (h + one), (p + one) * (q + one)
            union = area if crowd[t] else area + other - across
            if images[0][d] == images[1][t] and union > 0 and across / union >= 0.2:
                expected.append((d, t, across / union))
    assert list(zip(pairs.found, pairs.truth, pairs.overlaps, strict=True)) == expected
