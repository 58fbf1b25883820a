"""Edges where they are, one pixel wide; scikit-image's agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from baimu.datasets.edges import edges, grey


def disc(side: int = 64, radius: int = 20) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.repeat(np.where(np.hypot(y, x) < radius, 220, 40).astype(np.uint8)[..., None], 3, 2)


def test_a_disc_has_a_closed_thin_outline() -> None:
    drawn = edges(disc())[..., 0] == 0
    y, x = drawn.nonzero()
    away = np.hypot(y - 31.5, x - 31.5)
    assert np.abs(away - 20).max() < 2
    assert ndimage.label(~drawn)[1] == 2  # inside and outside, four-connected
    assert drawn.sum() < 1.5 * 2 * np.pi * 20


def test_flat_images_have_none_and_colours_do_not_matter_beyond_their_luma() -> None:
    assert (edges(np.full((20, 20, 3), 90, np.uint8)) == 255).all()
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    luma = np.repeat((image @ [0.299, 0.587, 0.114])[..., None], 3, 2)
    np.testing.assert_allclose(grey(image), luma, rtol=0, atol=0.5 + 1e-9)  # to the nearest of 256 levels


def test_a_weak_edge_counts_where_a_strong_one_goes_on() -> None:
    """A border that fades from 120 levels to 20: below the lower threshold nothing, above it all that is connected."""
    strength = np.linspace(60, 10, 80)[:, None] * np.array([[-1] * 20 + [1] * 20])
    image = np.repeat((128 + strength).astype(np.uint8)[..., None], 3, 2)
    drawn = edges(image)[..., 0] == 0
    assert drawn[:60, 18:22].any(1).all()
    alone = np.repeat((128 + strength[60:]).astype(np.uint8)[..., None], 3, 2)
    assert not (edges(alone, low=0.1, high=0.6)[..., 0] == 0).any()


def test_scikit_image_draws_nearly_the_same() -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    image = disc()
    rng = np.random.default_rng(0)
    image = (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)
    ours = edges(image, sigma=1.4)[..., 0] == 0
    # its slope is Sobel's over 4
    theirs = feature.canny(image @ [0.299, 0.587, 0.114] / 255, 1.4, 0.1 / 4, 0.2 / 4)
    near = ndimage.binary_dilation(theirs, np.ones((3, 3)))
    assert (ours & near).sum() > 0.95 * ours.sum()
    assert (theirs & ndimage.binary_dilation(ours, np.ones((3, 3)))).sum() > 0.95 * theirs.sum()
