"""Colour changes equal torchvision's on uint8 tensors within one grey level, and the jitter is what it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from baimu.datasets import color

NOISE = np.random.default_rng(0).integers(0, 256, (97, 83, 3), np.uint8)
EVERY_HUE = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), axis=-1).reshape(52, -1, 3).astype(np.uint8)


@pytest.mark.parametrize("image", [NOISE, EVERY_HUE, np.full((2, 3, 3), 128, np.uint8)], ids=["noise", "all", "grey"])
@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (color.adjust_brightness, F.adjust_brightness, (0.0, 0.625, 1.0, 1.375, 2.0)),
        (color.adjust_contrast, F.adjust_contrast, (0.0, 0.625, 1.0, 1.375, 2.0)),
        (color.adjust_saturation, F.adjust_saturation, (0.0, 0.625, 1.0, 1.375, 2.0)),
        (color.adjust_hue, F.adjust_hue, (-0.5, -1 / 3, -0.31, -0.04, 0.0, 0.013, 1 / 12, 0.1, 1 / 6, 0.5)),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
def test_equal_to_torchvision(image: np.ndarray, ours: Callable, theirs: Callable, factors: tuple[float, ...]) -> None:
    for factor in factors:
        expected = theirs(torch.from_numpy(image).permute(2, 0, 1), factor).permute(1, 2, 0).numpy()
        # torchvision truncates the grey itself, too, which then counts 1 - factor times; wide turns take two steps.
        limit = 1 + abs(1 - factor) * (ours in (color.adjust_contrast, color.adjust_saturation))
        limit += ours is color.adjust_hue and abs(6 * factor - 2 * round(3 * factor)) > 0.5
        found = ours(image, factor).astype(int)
        assert np.abs(found - expected).max() <= limit, factor


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_are_rounded_to_a_64th_and_bounded(name: str) -> None:
    ours, theirs = getattr(color, f"adjust_{name}"), getattr(F, f"adjust_{name}")
    for factor in (0.409, 0.8211, 1.0078, 1.73):
        expected = theirs(torch.from_numpy(NOISE).permute(2, 0, 1), factor).permute(1, 2, 0).numpy()
        assert np.abs(ours(NOISE, factor).astype(int) - expected).max() <= 255 / 128 + 1.5
    for factor in (-0.1, 2.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 2"):
            ours(NOISE, factor)


def test_jitter_is_its_changes_one_after_the_other() -> None:
    """Run together in blocks of rows, they give what they give one by one; only contrast's mean is a sample's."""
    tall = np.random.default_rng(1).integers(0, 256, (900, 300, 3), np.uint8)
    changes = [color.hue(0.03), color.brightness(1.3), color.saturation(0.7), color.contrast(0.8, 117)]
    together = color.change_colors(tall[:, ::-1], changes)
    step_by_step = tall[:, ::-1]
    for change in changes:
        step_by_step = color.change_colors(step_by_step, [change])
    np.testing.assert_array_equal(together, step_by_step)
    whole = color.mean_grey(tall)
    assert abs(color.mean_grey(tall[::2, ::2]) - whole) <= 2


def test_jitter_changes_colours_by_its_generator_alone() -> None:
    first = color.color_jitter(NOISE, 0.4, np.random.default_rng(3))
    np.testing.assert_array_equal(first, color.color_jitter(NOISE, 0.4, np.random.default_rng(3)))
    other = color.color_jitter(NOISE, 0.4, np.random.default_rng(4))
    assert np.abs(first.astype(int) - other).mean() > 5
    assert np.abs(color.color_jitter(NOISE, 0.0, np.random.default_rng(3)).astype(int) - NOISE).max() <= 1


def test_jitter_stays_within_its_strength() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)  # contrast, saturation and hue leave an even grey alone
    levels = {int(color.color_jitter(grey, 0.3, np.random.default_rng(i)).max()) for i in range(200)}
    assert 69 <= min(levels) < 75
    assert 125 < max(levels) <= 131
