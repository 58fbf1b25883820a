"""Batches of lines and of texts: alike in length, each line once, and legible after augmentation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from baimu.datasets.batches import train_lists
from baimu.datasets.line_batches import eval_line_batches, train_line_batches, widths
from baimu.datasets.line_transforms import augment_line
from baimu.datasets.text_batches import padded
from baimu.datasets.text_lines import TextLines
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe

LINES = TextLines(40)
PREPROCESS = Preprocess(
    mean=(127.5,), std=(127.5,), channel_order="grey", resize="height", size=32, max_size=2048, pad_to=4
)
RECIPE = Recipe(
    batch_size=8, workers=0, resize="height", size=32, distortion=0.7, scale_jitter=(0.8, 1.2), color_jitter=0.3
)


def test_lines_of_a_batch_are_of_about_one_width() -> None:
    own = widths(LINES, PREPROCESS)
    lists = train_lists(40, RECIPE, epoch=0, rank=0, world=1, skip=0, lengths=own)
    assert sorted(itertools.chain(*lists)) == list(range(40))
    spread = np.mean([np.ptp(own[row]) for row in lists])
    plain = train_lists(40, RECIPE, epoch=0, rank=0, world=1, skip=0)
    assert spread < 0.5 * np.mean([np.ptp(own[row]) for row in plain])
    assert lists != train_lists(40, RECIPE, epoch=1, rank=0, world=1, skip=0, lengths=own)
    two = [train_lists(40, RECIPE, epoch=0, rank=r, world=2, skip=0, lengths=own) for r in range(2)]
    assert [a + b for a, b in zip(*two, strict=True)] == lists


def test_a_batch_holds_its_lines_and_their_texts() -> None:
    batch = next(iter(train_line_batches(LINES, PREPROCESS, RECIPE, epoch=0)))
    assert batch.inputs.shape[:3] == (8, 3, 32)
    assert batch.inputs.shape[3] % 4 == 0
    for row, index in enumerate(batch.indices):
        labels = batch.targets.labels[row]
        assert "".join(LINES.classes[label] for label in labels[labels >= 0]) == LINES.text(index)
        width = int(batch.targets.sizes[row, 1])
        assert not batch.inputs[row, :, :, width:].any()
    again = next(iter(train_line_batches(LINES, PREPROCESS, RECIPE, epoch=0)))
    assert torch.equal(batch.inputs, again.inputs)
    other = next(iter(train_line_batches(LINES, PREPROCESS, RECIPE, epoch=1)))
    assert batch.inputs.shape != other.inputs.shape or not torch.equal(batch.inputs, other.inputs)


def test_evaluation_sees_every_line_once_by_width() -> None:
    batches = [b for r in range(2) for b in eval_line_batches(LINES, PREPROCESS, 6, rank=r, world=2)]
    assert sorted(i for b in batches for i in b.indices) == list(range(40))
    own = widths(LINES, PREPROCESS)
    for batch in batches:
        assert own[batch.indices].tolist() == sorted(own[batch.indices])
        assert batch.targets.sizes[:, 1].tolist() == own[batch.indices].tolist()


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_augmented_lines_keep_their_height_and_ground(strength: float) -> None:
    rng = np.random.default_rng(0)
    recipe = RECIPE.replace(distortion=strength, color_jitter=0.0)
    image = np.full((20, 90, 3), 240, np.uint8)
    image[6:14, 20:70] = 10
    for _ in range(10):
        changed = augment_line(image, PREPROCESS, recipe, rng)
        assert changed.shape[0] == 32
        assert 0.8 <= changed.shape[1] / 144 <= 1.2
        assert np.median(changed[:3]) > 200  # what comes in from outside is ground, not black
        dark = (changed < 100).mean()
        assert 0.15 < dark < 0.3  # 22 % of the line is ink, and stays there


def test_texts_are_filled_up() -> None:
    assert padded([[3, 4], [5], []]).tolist() == [[3, 4], [5, 0], [0, 0]]
