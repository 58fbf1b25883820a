"""Sheets: every picture lands in its cell, whole; batches and comparisons show what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from baimu.draw.colours import class_colour
from baimu.draw.sheet import GAP, batch_sheet, comparison_sheet, enlargement, sheet
from baimu.preprocess import Frame
from baimu.results import Detections
from baimu.targets import Batch, Targets

NAMES = ("cat", "dog")


@dataclass
class Truth:
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None


def flat(value: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def shows(picture: Image.Image, label: int) -> bool:
    return bool((np.array(picture) == class_colour(label)).all(2).any())


def test_pictures_lie_row_by_row():
    page = np.array(sheet([flat(10), flat(20), flat(30)], columns=2))
    assert page.shape == (2 * 20 + 3 * GAP, 2 * 30 + 3 * GAP, 3)
    assert (page[GAP : GAP + 20, GAP : GAP + 30] == 10).all()
    assert (page[GAP : GAP + 20, 2 * GAP + 30 : 2 * GAP + 60] == 20).all()
    assert (page[2 * GAP + 20 : 2 * GAP + 40, GAP : GAP + 30] == 30).all()
    assert (page[2 * GAP + 20 :, 2 * GAP + 30 :] == 255).all()


def test_smaller_pictures_are_centred():
    page = np.array(sheet([flat(0, 20, 20), flat(0, 10, 10)], columns=2))
    assert (page[GAP + 5 : GAP + 15, 2 * GAP + 25 : 2 * GAP + 35] == 0).all()
    assert (page == 0).all(2).sum() == 500


def test_titles_take_room_and_long_ones_stay_in_their_cell():
    plain = sheet([flat(0)] * 2, columns=2)
    titled = sheet([flat(255)] * 2, columns=2, titles=["百目 $x$\nфайл" * 20, ""])
    assert titled.height > plain.height
    ink = np.argwhere((np.array(titled) < 200).any(2))
    assert len(ink) > 10
    assert ink[:, 1].max() < GAP + 30 + GAP


def test_cell_scales_each_picture():
    assert sheet([flat(0, 100, 50), flat(0, 10, 20)], columns=1, cell=40).size == (40 + 2 * GAP, 60 + 3 * GAP + 20)


def test_nothing_too_much_or_unmatched_titles_are_refused():
    with pytest.raises(ValueError, match="needs pictures"):
        sheet([])
    with pytest.raises(ValueError, match="title"):
        sheet([flat(0)], titles=["a", "b"])
    with pytest.raises(ValueError, match="too large"):
        sheet([flat(0, 20, 9000)] * 2, columns=2)


def batch(boxes: list[torch.Tensor], labels: list[torch.Tensor], masks=None) -> Batch:
    sizes = [(64, 64 - 16 * i) for i in range(len(boxes))]
    targets = Targets.collate(boxes, labels, sizes, masks)
    frame = Frame((64, 64), (64, 64), 1.0, 1.0)
    images = torch.full((len(boxes), 3, 64, 64), 128, dtype=torch.uint8)
    return Batch(images, targets, [frame] * len(boxes), [f"folder/{i}.jpg" for i in range(len(boxes))])


def test_a_batch_shows_its_targets_and_not_its_padding():
    box, none = torch.tensor([[10.0, 10.0, 40.0, 40.0]]), torch.zeros(0, 4)
    page = batch_sheet(batch([box, none], [torch.tensor([1]), torch.zeros(0, dtype=torch.int64)]), NAMES, columns=2)
    assert shows(page, 1)
    assert not shows(page, 0)
    grey = (np.array(page) == 128).all(2).sum()
    assert grey < 25 * 64 * (
        64 + 48
    )  # drawn five times as large; the 16 padded columns of the second image are cut off


def test_a_batch_with_masks_and_a_limit():
    box = torch.tensor([[10.0, 10.0, 40.0, 40.0]])
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 10:40, 10:40] = True
    made = batch([box] * 3, [torch.tensor([0])] * 3, [mask] * 3)
    one, all_three = batch_sheet(made, NAMES, limit=1), batch_sheet(made, NAMES, columns=3)
    assert all_three.width > 2 * one.width


def test_truth_stands_at_the_left_and_what_was_found_at_the_right():
    image = flat(128, 100, 100)
    truth = Truth(np.array([[20.0, 20, 60, 60]]), np.array([0]))
    found = Detections(
        np.array([[20, 20, 60, 60], [5, 5, 9, 9]], np.float32),
        np.array([0.9, 0.1], np.float32),
        np.array([1, 1]),
        NAMES,
        (100, 100),
    )
    page = comparison_sheet([image], [truth], [found])
    left, right = page.crop((0, 0, page.width // 2, page.height)), page.crop((page.width // 2, 0, *page.size))
    assert shows(left, 0)
    assert not shows(left, 1)
    assert shows(right, 1)
    assert not shows(right, 0)


def test_small_pictures_are_enlarged_together():
    assert enlargement([(64, 64), (200, 300)]) == 4
    assert enlargement([(480, 640)]) == 1
    assert enlargement([]) == 1
