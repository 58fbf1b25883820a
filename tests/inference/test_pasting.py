"""Masks in the source's pixels: of the right detections, where the box is, some at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baimu.inference import pasting
from baimu.inference.pasting import paste_packed
from baimu.inference.predictor import predict
from baimu.masks import Masks
from baimu.ops.masks import mask_changes, paste_masks
from baimu.preprocess import Preprocess

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}
BOX = (30, 20, 90, 60)


def random_case(count: int = 9) -> tuple[torch.Tensor, np.ndarray]:
    random = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=random) * 30 - 5
    boxes = torch.cat([corners, corners + 3 + torch.rand(count, 2, generator=random) * 30], 1)
    return torch.rand(count, 7, 7, generator=random), boxes.numpy()


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(**PLAIN, resize="shortest", size=64, max_size=100, pad_to=32),
        Preprocess(**PLAIN, resize="letterbox", size=128),
        Preprocess(**PLAIN, resize="stretch", size=96),
        Preprocess(**PLAIN, resize="none"),
    ],
    ids=lambda p: p.resize,
)
def test_masks_lie_in_the_source(preprocess, make_painter, picture):
    [found] = predict(make_painter(preprocess), picture(80, 120, BOX))
    assert found.masks.shape == (1, 80, 120)
    rows, columns, mask = found.masks.window(0)
    left, top, right, bottom = found.boxes[0]
    pixel = 2.0  # of the input, in the source, and the grid's
    assert abs(rows.start - top) <= pixel
    assert abs(rows.stop - bottom) <= pixel
    assert abs(columns.start - left) <= pixel
    assert abs(columns.stop - (left + right) / 2) <= pixel
    assert mask.mean() > 0.95  # corners are round: around the grid there is nothing


def test_each_detection_keeps_its_mask(make_painter, picture):
    """Whatever the batch and the filter, a detection's mask is its own, and an image without any has none."""
    images = [picture(80, 100 + 10 * i, (10 * i, 5, 10 * i + 20, 45)) for i in range(3)]
    images.insert(1, picture(60, 60, None))
    for batch_size in (1, 4):
        results = predict(make_painter(), images, score_threshold=0.05, batch_size=batch_size)
        assert [len(r.masks) for r in results] == [2, 0, 2, 2]
        assert results[1].masks.shape == (0, 60, 60)
        for i in (0, 2, 3):
            assert results[i].masks.areas[0] > 300
            assert results[i].masks.areas[1] == 0
        reds = predict(make_painter(), images, score_threshold=0.05, classes=["red"])
        others = predict(make_painter(), images, score_threshold=0.05, classes=["other"])
        assert reds[2].masks.areas.tolist() == results[2].masks.areas[:1].tolist()
        assert others[2].masks.areas.tolist() == [0]


def test_box_detectors_have_no_masks(finder, picture):
    assert predict(finder, picture(80, 100, BOX))[0].masks is None


@pytest.mark.parametrize("pixels", [1, 23 * 31 * 4, 1 << 28])
def test_some_at_a_time_are_as_all_at_once(pixels, monkeypatch):
    masks, boxes = random_case()
    monkeypatch.setattr(pasting, "_CHUNK", pixels)
    expected = paste_masks(masks, torch.from_numpy(boxes), (23, 31)).numpy()
    assert expected.any((1, 2)).all()
    np.testing.assert_array_equal(np.asarray(paste_packed(masks, boxes, (23, 31))), expected)
    assert paste_packed(masks[:0], boxes[:0], (23, 31)).shape == (0, 23, 31)


def test_what_a_gpu_sends_is_what_a_cpu_packs():
    masks, boxes = random_case()
    pasted = paste_masks(masks, torch.from_numpy(boxes), (23, 31))
    for part in (pasted, pasted[:0], ~pasted, pasted[:, :0]):
        sent = Masks.from_changes(mask_changes(part).numpy(), tuple(part.shape))
        assert sent.counts == Masks.of(part.numpy()).counts
