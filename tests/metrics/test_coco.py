"""COCO figures: the golden case, and pycocotools to the last digit on random data sets."""

from __future__ import annotations

import contextlib
import io
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


def _xyxy(x, y, w, h):
    return (x, y, x + w, y + h)


def _pycocotools(source, results):
    """pycocotools' evaluation of the same data set and detections."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = []
    for i in range(len(source)):
        o = source.objects(i)
        for box, label, crowd, area in zip(o.boxes.astype(float), o.labels, o.crowd, o.areas, strict=True):
            xywh = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": source.image_id(i),
                    "category_id": source.category_ids[label],
                    "bbox": xywh,
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": source.image_id(i)} for i in range(len(source))],
            "categories": [{"id": c, "name": str(c)} for c in source.category_ids],
            "annotations": annotations,
        }
        truth.createIndex()
        rows = [
            row
            for i, found in enumerate(results)
            for row in json.loads(json.dumps(found.to_coco(source.image_id(i), source.category_ids)))
        ]
        if rows:
            answer = truth.loadRes(rows)
        else:  # loadRes([]) fails in pycocotools
            answer = COCO()
            answer.dataset = {**truth.dataset, "annotations": []}
            answer.createIndex()
        evaluation = COCOeval(truth, answer, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _figures(theirs):
    return np.where(theirs.stats < 0, np.nan, theirs.stats)


def _random_case(rng, source, detections):
    """A small data set with everything that can go wrong: crowds, ties, empty images, absent classes, edge areas."""
    num_images, num_classes = rng.integers(1, 9), rng.integers(1, 6)
    sides = np.array([4.0, 31.0, 32.0, 33.0, 50.0, 95.0, 96.0, 97.0])
    images, found = [], []
    for _ in range(num_images):
        objects = []
        for _ in range(rng.integers(0, 7) * (rng.random() < 0.8)):
            width, height = rng.choice(sides, 2)
            x, y = rng.integers(0, 200, 2) / rng.choice([1.0, 2.0, 3.0])
            area = width * height * rng.choice([1.0, 1.0, 0.7])
            objects.append((rng.integers(num_classes), _xyxy(x, y, width, height), rng.random() < 0.15, area))
        images.append(objects)
        seen = []
        for _ in range(rng.integers(0, 14) * (rng.random() < 0.85)):
            if objects and rng.random() < 0.7:
                label, box, *_ = objects[rng.integers(len(objects))]
                box = np.array(box) + rng.choice([0, 0, 1, 3, 8]) * rng.standard_normal(4)
                label = label if rng.random() < 0.85 else rng.integers(num_classes)
            else:
                label, box = rng.integers(num_classes), np.array(_xyxy(*rng.uniform(0, 150, 4)))
            box = np.concatenate([box[:2], np.maximum(box[2:], box[:2])])
            seen.append((label, box, rng.choice([0.1, 0.5, 0.9, rng.random()])))  # many equal scores
        found.append(seen)
    ids = rng.permutation(1000)[:num_images].tolist()  # not in order: ties follow the ids
    category_ids = rng.permutation(90)[:num_classes].tolist()
    return source(images, num_classes, ids=ids, category_ids=category_ids), detections(found, num_classes)


@pytest.mark.parametrize("part", range(10))
def test_equals_pycocotools_to_the_last_digit(part, source, detections):
    for seed in range(part * 40, part * 40 + 40):
        data, found = _random_case(np.random.default_rng(seed), source, detections)
        ours, theirs = coco_evaluate(data, found), _pycocotools(data, found)
        np.testing.assert_array_equal(list(ours.figures().values()), _figures(theirs), err_msg=f"seed {seed}")

        order = np.argsort(np.argsort(data.category_ids))
        precision = theirs.eval["precision"][:, :, order, 0, 2]
        precision = np.where(precision < 0, np.nan, precision)
        np.testing.assert_array_equal(ours.precision, precision[0].T)
        reached = np.where(np.isnan(ours.precision), np.nan, theirs.eval["scores"][0][:, order, 0, 2].T)
        np.testing.assert_array_equal(ours.precision_scores, reached)
        np.testing.assert_allclose(ours.class_ap, precision.mean((0, 1)), rtol=1e-14)
        recall = theirs.eval["recall"][:, order, 0, 2].mean(0)
        np.testing.assert_allclose(ours.class_ar, np.where(recall < 0, np.nan, recall), rtol=1e-14)


def test_more_than_a_hundred_detections_an_image(source, detections):
    """Beyond 100 of a class, detections do not count; the cut falls among equal scores."""
    rng = np.random.default_rng(0)
    objects = [(0, _xyxy(*rng.uniform(0, 100, 2), 40, 40), False) for _ in range(5)]
    found = [(0, np.array(objects[i % 5][1]) + rng.normal(0, 6, 4), round(rng.random(), 1)) for i in range(260)]
    found = [(k, np.sort(b.reshape(2, 2), 0).reshape(4), s) for k, b, s in found]
    data, results = source([objects], 1), detections([found], 1)
    ours = list(coco_evaluate(data, results).figures().values())
    np.testing.assert_array_equal(ours, _figures(_pycocotools(data, results)))


def test_golden(source, detections):
    """The hand-made case of the specification and its twelve numbers."""
    data = source(
        [
            [
                (0, _xyxy(10, 10, 50, 50), False),
                (0, _xyxy(100, 100, 20, 20), False),
                (1, _xyxy(30, 30, 120, 120), False),
            ],
            [(0, _xyxy(0, 0, 100, 100), True), (0, _xyxy(150, 150, 30, 40), False)],
            [],
        ],
        2,
    )
    found = detections(
        [
            [
                (0, _xyxy(12, 11, 50, 50), 0.9),
                (0, _xyxy(10, 10, 40, 50), 0.8),
                (0, _xyxy(100, 102, 20, 20), 0.7),
                (1, _xyxy(40, 30, 120, 110), 0.6),
            ],
            [(0, _xyxy(10, 10, 30, 30), 0.95), (0, _xyxy(151, 152, 30, 38), 0.5)],
            [(1, _xyxy(5, 5, 50, 50), 0.65)],
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
    data = source([[(0, _xyxy(10, 10, 20, 20), False)], []], 2)
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
    boxes = [_xyxy(10, 10, 20, 20), _xyxy(50, 50, 60, 60), _xyxy(10, 90, 100, 100)]  # small, medium, large
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
    data = source([[(0, _xyxy(0, 0, 100, 100), True), (1, _xyxy(120, 120, 50, 50), False)]], 2)
    inside = [(0, _xyxy(10, 10, 20, 20), 0.9), (0, _xyxy(50, 50, 20, 20), 0.8), (1, _xyxy(30, 30, 20, 20), 0.7)]
    found = found_table(detections([inside], 2), data)
    assert confusion_matrix(truth_table(data), found, 2).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_confusion_matrix_equals_hotcoco_without_crowds(seed, source, detections):
    from hotcoco import COCO, COCOeval

    data, results = _random_case(np.random.default_rng(seed), source, detections)
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
    theirs = COCOeval(reference, rows, "bbox").confusion_matrix(0.5, min_score=0.3)["matrix"]
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
