"""Masks from COCO's polygons equal pycocotools' to the pixel; outlines keep what they were read from."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from baimu.datasets.outlines import Outlines, polygon_to_mask, read_outline


def test_polygons_equal_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for case in range(400):
        height, width = rng.integers(1, 80, 2).tolist()
        polygon = rng.random(2 * int(rng.integers(3, 12))) * rng.choice([30, 90, 120]) - rng.choice([0, 15])
        polygon = (polygon.round() if case % 3 == 0 else polygon).astype(np.float32)
        expected = coco.decode(coco.merge(coco.frPyObjects([polygon.astype(float).tolist()], height, width)))
        np.testing.assert_array_equal(polygon_to_mask(polygon, (height, width)), expected.astype(bool))


def test_outlines_keep_parts_runs_and_nothing_apart() -> None:
    size = (10, 12)
    square = [1.0, 1.0, 4.0, 1.0, 4.0, 4.0, 1.0, 4.0]
    other = [6.0, 6.0, 9.0, 6.0, 9.0, 9.0, 6.0, 9.0]
    segmentations = [[square, other], {"size": [10, 12], "counts": [3, 7, 110]}]
    outlines = Outlines.of([*(read_outline(s, size) for s in segmentations), []])
    both = polygon_to_mask(np.float32(square), size) | polygon_to_mask(np.float32(other), size)
    joined = outlines.take(np.array([2, 1, 0])).joined(outlines)
    masks = [joined.mask(i, size) for i in range(6)]
    for two_parts in (masks[2], masks[3]):
        np.testing.assert_array_equal(two_parts, both)
    assert both.sum() == 18
    assert masks[0] is None
    assert masks[1] is not None
    assert masks[1].sum() == 7
    assert masks[1][3:10, 0].all()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 1, 2, 2]], "three finite points"),
        ([[1, 1, 2, 2, 3, 3, 4]], "three finite points"),
        ([[1, 1, 2, 2, 3, float("nan")]], "three finite points"),
        ({"size": [5, 5], "counts": [25]}, "in an image of"),
        ({"size": [4, 6], "counts": [20]}, "do not add up"),
        ({"size": [4, 6], "counts": [-1, 25]}, "do not add up"),
        (7, "neither"),
    ],
)
def test_bad_segmentations_say_why(segmentation: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_outline(segmentation, (4, 6))
