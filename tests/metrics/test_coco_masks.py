"""Figures of masks: pycocotools to the last digit, boxes beside them unchanged, memory bounded."""

from __future__ import annotations

import contextlib
import io
import json
import math
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from baimu.datasets.source import Objects
from baimu.masks import Masks
from baimu.metrics.coco import coco_evaluate
from baimu.metrics.scores import FIGURES, MASK_FIGURES, figure_names
from baimu.metrics.tables import truth_table
from baimu.ops.masks import masks_to_boxes
from baimu.results import Detections
from tests.metrics.conftest import ArraySource

HEIGHT, WIDTH = 130, 150
SIDES = np.array([1, 5, 30, 32, 34, 60, 95, 96, 98])


def _ellipse(rng: np.random.Generator) -> np.ndarray:
    height, width = rng.choice(SIDES, 2) / 2
    y, x = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return ((rows + 0.5 - y) / height) ** 2 + ((columns + 0.5 - x) / width) ** 2 <= 1


def _changed(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moved by some pixels, full of holes, or as it is."""
    kind = rng.integers(4)
    if kind == 0:
        return mask & (rng.random(mask.shape) < rng.uniform(0.4, 1))
    return np.roll(mask, rng.integers(-4, 5, 2), (0, 1)) if kind < 3 else mask


def _boxes(masks: np.ndarray) -> np.ndarray:
    import torch

    return masks_to_boxes(torch.from_numpy(masks)).numpy()


def _random_case(seed: int) -> tuple[ArraySource, list[Detections]]:
    """Crowds, ties, empty masks on both sides, images without objects or detections, areas at the limits."""
    rng = np.random.default_rng(seed)
    num_images, num_classes = rng.integers(1, 6), int(rng.integers(1, 4))
    classes = tuple(f"class {k}" for k in range(num_classes))
    images, found = [], []
    for _ in range(num_images):
        count = rng.integers(0, 6) * (rng.random() < 0.8)
        masks = np.array([_ellipse(rng) for _ in range(count)], bool).reshape(-1, HEIGHT, WIDTH)
        if count and rng.random() < 0.2:
            masks[0] = False
        areas = (masks.sum((1, 2)) * rng.choice([1.0, 0.7, 1.3], count)).astype(np.float32)
        labels, crowd = rng.integers(0, num_classes, count), rng.random(count) < 0.2
        images.append(Objects(_boxes(masks), labels, crowd, areas, np.arange(count), masks))

        near = rng.integers(0, count, rng.integers(0, 10) if count else 0)
        own = [_changed(masks[i], rng) for i in near]
        more = [_ellipse(rng) for _ in range(rng.integers(0, 4))]
        guesses = np.array([*own, *more], bool).reshape(-1, HEIGHT, WIDTH)
        guesses[rng.random(len(guesses)) < 0.1] = False
        seen = np.concatenate([labels[near], rng.integers(0, num_classes, len(more))]).astype(np.int64)
        scores = rng.choice([0.1, 0.5, 0.9, *rng.random(3)], len(guesses)).astype(np.float32)
        boxes = _boxes(guesses)
        found.append(Detections(boxes, scores, seen, classes, (HEIGHT, WIDTH), masks=Masks.of(guesses)))
    ids = rng.permutation(1000)[:num_images].tolist()
    return ArraySource(images, classes, rng.permutation(90)[:num_classes].tolist(), ids), found


def _pycocotools(source: ArraySource, results: list[Detections], kind: str) -> np.ndarray:
    annotations, rows = [], []
    for i in range(len(source)):
        o = source.objects(i)
        for box, label, crowd, area, mask in zip(
            o.boxes.astype(float), o.labels, o.crowd, o.areas, o.masks, strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": source.image_id(i),
                    "category_id": source.category_ids[label],
                    "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
                    "segmentation": coco.encode(np.asfortranarray(mask.astype(np.uint8))),
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
        written = json.loads(json.dumps(results[i].to_coco(source.image_id(i), source.category_ids)))
        rows += [
            {k: v for k, v in row.items() if k != ("bbox" if kind == "segm" else "segmentation")} for row in written
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": source.image_id(i), "height": HEIGHT, "width": WIDTH} for i in range(len(source))],
            "categories": [{"id": c, "name": str(c)} for c in source.category_ids],
            "annotations": annotations,
        }
        truth.createIndex()
        if rows:
            answer = truth.loadRes(rows)
        else:  # loadRes([]) fails in pycocotools
            answer = COCO()
            answer.dataset = {**truth.dataset, "annotations": []}
            answer.createIndex()
        evaluation = COCOeval(truth, answer, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("part", range(6))
def test_equals_pycocotools_to_the_last_digit(part: int) -> None:
    for seed in range(part * 20, part * 20 + 20):
        source, found = _random_case(seed)
        scores = coco_evaluate(source, found)
        figures = scores.figures()
        masks, boxes = ([figures[name] for name in names] for names in (MASK_FIGURES, FIGURES))
        np.testing.assert_array_equal(masks, _pycocotools(source, found, "segm"), err_msg=f"seed {seed}")
        np.testing.assert_array_equal(boxes, _pycocotools(source, found, "bbox"), err_msg=f"seed {seed}")
        assert scores.masks is not None
        if not math.isnan(scores.masks.mask_ap):
            np.testing.assert_allclose(np.nanmean(scores.masks.class_ap), scores.masks.mask_ap, rtol=1e-12)


def test_boxes_score_alone_where_one_side_has_no_masks() -> None:
    source, found = _random_case(3)
    with_masks = coco_evaluate(source, found)
    assert tuple(with_masks.figures()) == figure_names(masks=True)
    assert list(with_masks.figures())[:3] == ["mask_ap", "box_ap", "mask_ap50"]
    plain = [Detections(f.boxes, f.scores, f.labels, f.names, f.size) for f in found]
    boxes_only = ArraySource(
        [Objects(o.boxes, o.labels, o.crowd, o.areas, o.ids) for o in source.images],
        source.classes,
        source.category_ids,
        source.ids,
    )
    for data, results in ((source, plain), (boxes_only, found)):
        scores = coco_evaluate(data, results)
        assert scores.masks is None
        assert tuple(scores.figures()) == FIGURES
        assert scores.box_ap == with_masks.box_ap
        assert "mask" not in str(scores)


def test_the_table_names_both() -> None:
    source, found = _random_case(5)
    scores = coco_evaluate(source, found)
    row = scores.table()[0]
    assert (row["ap"], row["mask_ap"]) == (scores.box_ap, scores.masks.mask_ap)
    assert str(scores).splitlines()[0].split("  ")[-2:] == ["mask AP", "mask AP50"]
    lines = str(scores).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["mask_ap50"] == pytest.approx(scores.masks.mask_ap50)
    assert set(plain["classes"][0]) >= {"mask_ap", "mask_ap50"}


def test_truth_that_was_drawn_before_gives_the_same() -> None:
    source, found = _random_case(7)
    truth = truth_table(source, masks=True)
    again, figures = coco_evaluate(source, found, truth=truth).figures(), coco_evaluate(source, found).figures()
    np.testing.assert_array_equal(list(again.values()), list(figures.values()))


def test_masks_of_all_images_do_not_lie_in_memory_at_once() -> None:
    """100 images whose bitmaps would take 60 MB; what is held is their run lengths."""

    class Drawn(ArraySource):
        def objects(self, index: int) -> Objects:
            masks = np.zeros((2, 500, 600), bool)
            masks[:, 100:200, 100 + index : 300] = True
            boxes = np.array([[100 + index, 100, 300, 200]] * 2, np.float32)
            zeros = np.zeros(2, np.int64)
            return Objects(boxes, zeros, zeros > 0, np.full(2, 9e3, np.float32), zeros, masks)

    source = Drawn([None] * 100, ("a",), (1,), list(range(100)))
    tracemalloc.start()
    truth = truth_table(source, masks=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(truth.masks) == 100
    assert peak < 10e6
