"""Figures of masks: boxes beside them unchanged, memory bounded; pycocotools: test_equality.py."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest

from baimu.datasets.source import Objects
from baimu.metrics.coco import coco_evaluate
from baimu.metrics.scores import FIGURES, figure_names
from baimu.metrics.tables import truth_table
from baimu.results import Detections
from tests.metrics.arrays import ArraySource
from tests.metrics.equality.coco import pycocotools, random_masks


@pytest.mark.parametrize("seed", range(40))
def test_boxes_beside_masks_score_as_ever(seed: int) -> None:
    """Of the masks themselves: test_equality.py."""
    source, found = random_masks(seed)
    scores, theirs = coco_evaluate(source, found), pycocotools(source, found).stats
    figures = scores.figures()
    np.testing.assert_array_equal([figures[name] for name in FIGURES], np.where(theirs < 0, np.nan, theirs))
    assert scores.masks is not None
    if not math.isnan(scores.masks.mask_ap):
        np.testing.assert_allclose(np.nanmean(scores.masks.class_ap), scores.masks.mask_ap, rtol=1e-12)


def test_boxes_score_alone_where_one_side_has_no_masks() -> None:
    source, found = random_masks(3)
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
    source, found = random_masks(5)
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
    source, found = random_masks(7)
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
