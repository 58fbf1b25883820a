"""COCO's figures of boxes and of masks against pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from baimu.datasets.source import Objects
from baimu.masks import Masks
from baimu.metrics.coco import coco_evaluate
from baimu.metrics.scores import FIGURES, MASK_FIGURES
from baimu.ops.masks import masks_to_boxes
from baimu.results import Detections
from tests.metrics.arrays import ArraySource, make_detections, make_source
from tests.metrics.equality.case import Case, Subject

HEIGHT, WIDTH = 130, 150
SIDES = np.array([4.0, 31.0, 32.0, 33.0, 50.0, 95.0, 96.0, 97.0])
TRAITS = (
    *("score ties", "crowd", "no objects", "no detections", "image without objects", "image without detections"),
    *("class without objects", "one class", "area at 32² or 96²"),
)


def xyxy(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x, y, x + w, y + h)


def pycocotools(source: ArraySource, results: Sequence[Detections], kind: Literal["bbox", "segm"] = "bbox") -> Any:
    """pycocotools' evaluation of the same data set and detections, which go through the rows of a result file."""
    truth: Any = COCO()
    truth.dataset = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in source.ids],
        "categories": [{"id": c, "name": str(c)} for c in source.category_ids],
        "annotations": _annotations(source),
    }
    other = "segmentation" if kind == "bbox" else "bbox"
    rows = [
        {key: value for key, value in row.items() if key != other}
        for image, found in zip(source.ids, results, strict=True)
        for row in json.loads(json.dumps(found.to_coco(image, source.category_ids)))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        answer: Any = COCO()
        if rows:
            answer = truth.loadRes(rows)
        else:  # loadRes([]) fails in pycocotools
            answer.dataset = {**truth.dataset, "annotations": []}
            answer.createIndex()
        evaluation = COCOeval(truth, answer, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _annotations(source: ArraySource) -> list[dict]:
    found = []
    for i, image in enumerate(source.ids):
        o = source.objects(i)
        for j, (box, label) in enumerate(zip(o.boxes.astype(float), o.labels, strict=True)):
            row = {
                "id": len(found) + 1,
                "image_id": image,
                "category_id": source.category_ids[label],
                "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
                "area": float(o.areas[j]),
                "iscrowd": int(o.crowd[j]),
            }
            if o.masks is not None:
                row["segmentation"] = coco_masks.encode(np.asfortranarray(o.masks[j].astype(np.uint8)))
            found.append(row)
    return found


def random_boxes(seed: int) -> tuple[ArraySource, list[Detections]]:
    """A small data set with everything that can go wrong: crowds, ties, empty images, absent classes, edge areas."""
    rng = np.random.default_rng(seed)
    num_images, num_classes = rng.integers(1, 9), int(rng.integers(1, 6))
    objects_at_all, found_at_all, many = rng.random() > 0.03, rng.random() > 0.03, rng.random() < 0.03
    images, found = [], []
    for _ in range(1 if many else num_images):
        objects = []
        for _ in range(rng.integers(0, 7) * (rng.random() < 0.8) * objects_at_all):
            width, height = rng.choice(SIDES, 2)
            x, y = rng.integers(0, 200, 2) / rng.choice([1.0, 2.0, 3.0])
            area = width * height * rng.choice([1.0, 1.0, 0.7])
            objects.append((rng.integers(num_classes), xyxy(x, y, width, height), rng.random() < 0.15, area))
        images.append(objects)
        count = rng.integers(110, 260) if many else rng.integers(0, 14) * (rng.random() < 0.85)
        found.append([_guess(objects, num_classes, rng) for _ in range(count * found_at_all)])
    ids = rng.permutation(1000)[: len(images)].tolist()  # not in order: ties follow the ids
    category_ids = rng.permutation(90)[:num_classes].tolist()
    return make_source(images, num_classes, ids=ids, category_ids=category_ids), make_detections(found, num_classes)


def _guess(objects: list[tuple], num_classes: int, rng: np.random.Generator) -> tuple:
    """Near an object, on it, over a part of it that is one of the IoU thresholds, or anywhere; many equal scores."""
    score = rng.choice([0.1, 0.5, 0.9, rng.random()])
    if not objects or rng.random() < 0.3:
        return rng.integers(num_classes), xyxy(*rng.uniform(0, 150, 4)), score
    label, box, *_ = objects[rng.integers(len(objects))]
    box = np.array(box)
    if rng.random() < 0.2:
        box[3] = box[1] + (box[3] - box[1]) * rng.integers(10, 21) / 20
    else:
        box += rng.choice([0, 0, 1, 3, 8]) * rng.standard_normal(4)
    label = label if rng.random() < 0.85 else rng.integers(num_classes)
    return label, np.concatenate([box[:2], np.maximum(box[2:], box[:2])]), score


def random_masks(seed: int) -> tuple[ArraySource, list[Detections]]:
    """Crowds, ties, holes, empty masks on both sides, images without objects or detections, areas at the limits."""
    rng = np.random.default_rng(seed)
    num_images, num_classes = rng.integers(1, 6), int(rng.integers(1, 4))
    classes = tuple(f"class {k}" for k in range(num_classes))
    at_all, found_at_all = rng.random() > 0.03, rng.random() > 0.03
    images, found = [], []
    for _ in range(num_images):
        count = rng.integers(0, 6) * (rng.random() < 0.8) * at_all
        masks = np.array([_shape(rng) for _ in range(count)], bool).reshape(-1, HEIGHT, WIDTH)
        if count and rng.random() < 0.2:
            masks[0] = False
        areas = (masks.sum((1, 2)) * rng.choice([1.0, 0.7, 1.3], count)).astype(np.float32)
        labels, crowd = rng.integers(0, num_classes, count), rng.random(count) < 0.2
        images.append(Objects(_boxes(masks), labels, crowd, areas, np.arange(count), masks))

        near = rng.integers(0, count, rng.integers(0, 10) if count and found_at_all else 0)
        own = [_changed(masks[i], rng) for i in near]
        more = [_shape(rng) for _ in range(rng.integers(0, 4) * found_at_all)]
        guesses = np.array([*own, *more], bool).reshape(-1, HEIGHT, WIDTH)
        guesses[rng.random(len(guesses)) < 0.1] = False
        seen = np.concatenate([labels[near], rng.integers(0, num_classes, len(more))]).astype(np.int64)
        scores = rng.choice([0.1, 0.5, 0.9, *rng.random(3)], len(guesses)).astype(np.float32)
        found.append(Detections(_boxes(guesses), scores, seen, classes, (HEIGHT, WIDTH), masks=Masks.of(guesses)))
    ids = rng.permutation(1000)[:num_images].tolist()
    return ArraySource(images, classes, rng.permutation(90)[:num_classes].tolist(), ids), found


def _shape(rng: np.random.Generator) -> np.ndarray:
    """An ellipse, or a rectangle whose area may be 32² or 96² to the pixel."""
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    height, width = rng.choice([1, 5, 30, 32, 34, 60, 95, 96, 98], 2)
    if rng.random() < 0.3:
        y, x = rng.integers(0, HEIGHT - height), rng.integers(0, WIDTH - width)
        return (rows >= y) & (rows < y + height) & (columns >= x) & (columns < x + width)
    y, x = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
    return ((rows + 0.5 - y) / height * 2) ** 2 + ((columns + 0.5 - x) / width * 2) ** 2 <= 1


def _changed(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moved by some pixels, full of holes, or as it is."""
    kind = rng.integers(4)
    if kind == 0:
        return mask & (rng.random(mask.shape) < rng.uniform(0.4, 1))
    return np.roll(mask, rng.integers(-4, 5, 2), (0, 1)) if kind < 3 else mask


def _boxes(masks: np.ndarray) -> np.ndarray:
    import torch

    return masks_to_boxes(torch.from_numpy(masks)).numpy()


def _traits(source: ArraySource, found: Sequence[Detections]) -> set[str]:
    scores = np.concatenate([f.scores for f in found])
    truths = source.images
    labels = np.concatenate([o.labels for o in truths])
    areas = np.concatenate([o.areas for o in truths])
    has = {
        "score ties": len(np.unique(scores)) < len(scores),
        "crowd": any(o.crowd.any() for o in truths),
        "no objects": not len(labels),
        "no detections": not len(scores),
        "image without objects": any(not len(o) for o in truths),
        "image without detections": any(not len(f) for f in found),
        "class without objects": len(np.unique(labels)) < len(source.classes),
        "one class": len(source.classes) == 1,
        "area at 32² or 96²": bool(np.isin(areas, (32**2, 96**2)).any()),
        "IoU on a threshold": any(_on_threshold(o, f) for o, f in zip(truths, found, strict=True)),
        "more than 100 detections": any(len(f) > 100 for f in found),
        "empty mask": any(o.masks is not None and bool((~o.masks.any((1, 2))).any()) for o in truths),
    }
    return {name for name, true in has.items() if true}


def _on_threshold(objects: Objects, found: Detections) -> bool:
    """Whether some detection keeps three sides of an object and moves the lower one to a threshold's share of it."""
    if not len(objects) or not len(found):
        return False
    a, b = objects.boxes[:, None].astype(float), found.boxes[None].astype(float)
    share = (b[..., 3] - b[..., 1]) / np.maximum(a[..., 3] - a[..., 1], 1e-9)
    near = np.abs(share * 20 - np.round(share * 20)) < 1e-6
    return bool(((a[..., :3] == b[..., :3]).all(-1) & near & (share >= 0.5) & (share < 0.96)).any())


def _defined(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0, np.nan, values)


def _side(theirs: Any, source: ArraySource, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The twelve figures, and each class's curve at IoU .5 with the scores where its recalls are reached."""
    order = np.argsort(np.argsort(source.category_ids))
    precision = _defined(theirs.eval["precision"][0][:, order, 0, 2].T)
    reached = np.where(np.isnan(precision), np.nan, theirs.eval["scores"][0][:, order, 0, 2].T)
    return {**dict(zip(names, _defined(theirs.stats), strict=True)), "curves": precision, "curve scores": reached}


def compare_boxes(seed: int) -> Case:
    source, found = random_boxes(seed)
    scores = coco_evaluate(source, found)
    ours = {**scores.figures(), "curves": scores.precision, "curve scores": scores.precision_scores}
    return Case(ours, _side(pycocotools(source, found), source, FIGURES), _traits(source, found))


def compare_masks(seed: int) -> Case:
    source, found = random_masks(seed)
    scores = coco_evaluate(source, found).masks
    assert scores is not None
    ours = {name: getattr(scores, name) for name in MASK_FIGURES}
    ours |= {"curves": scores.precision, "curve scores": scores.precision_scores}
    return Case(ours, _side(pycocotools(source, found, "segm"), source, MASK_FIGURES), _traits(source, found))


PACKAGES = ("pycocotools",)
BOXES = Subject(
    *("COCO box AP and AR", "pycocotools", PACKAGES, 0.0),
    (*TRAITS, "IoU on a threshold", "more than 100 detections"),
    compare_boxes,
)
MASKS = Subject("COCO mask AP and AR", "pycocotools", PACKAGES, 0.0, (*TRAITS, "empty mask"), compare_masks)
