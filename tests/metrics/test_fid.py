"""The Fréchet distance against the matrix root and where it is known; features of a classifier; patches' distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg, stats

from baimu.metrics.fid import features, fid, frechet_distance, statistics
from baimu.metrics.swd import LEVELS, pyramid, sliced_wasserstein
from baimu.zoo import create_model


def covariance(rng: np.random.Generator, size: int, rank: int | None = None) -> np.ndarray:
    parts = rng.standard_normal((size, rank or 3 * size))
    return parts @ parts.T / parts.shape[1]


def test_it_is_that_of_the_matrix_root() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 3, 12):
        one, other = covariance(rng, size), covariance(rng, size)
        m1, m2 = rng.standard_normal((2, size))
        root = linalg.sqrtm(one @ other)
        expected = ((m1 - m2) ** 2).sum() + np.trace(one + other - 2 * np.real(root))
        assert frechet_distance(m1, one, m2, other) == pytest.approx(expected, abs=1e-8)


def test_known_distances() -> None:
    three, zero = np.eye(3), np.zeros(3)
    assert frechet_distance(zero, three, np.array([1.0, 2, 3]), 4 * three) == pytest.approx(17.0)
    assert frechet_distance(zero, three, zero, three) == pytest.approx(0.0, abs=1e-12)
    d1, d2 = np.diag([1.0, 4, 9]), np.diag([4.0, 4, 1])
    assert frechet_distance(zero, d1, zero, d2) == pytest.approx((1 - 2) ** 2 + 0 + (3 - 1) ** 2)


def test_covariances_without_an_inverse_have_a_distance() -> None:
    rng = np.random.default_rng(1)
    one = covariance(rng, 8, rank=2)
    assert frechet_distance(np.zeros(8), one, np.zeros(8), one) == pytest.approx(0.0, abs=1e-6)


def test_statistics_are_numpys_and_need_two() -> None:
    rows = np.random.default_rng(2).standard_normal((9, 4))
    mean, found = statistics(rows)
    np.testing.assert_allclose(mean, rows.mean(0))
    centred = rows - mean
    np.testing.assert_allclose(found, centred.T @ centred / 8)
    with pytest.raises(ValueError, match="at least two images, got 1"):
        statistics(rows[:1])


def test_features_are_the_means_of_the_last_map_and_the_classifier_stays_as_it_was() -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=3, small_images=True).train()
    model.preprocess = model.preprocess.replace(resize="stretch", size=32)
    images = list(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8))
    rows = features(images, model)
    assert rows.shape == (4, 512)
    assert model.training
    with torch.no_grad():
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        expected = model.eval().backbone(model.preprocess.normalize(batch))[-1].mean((2, 3))
    np.testing.assert_allclose(rows, expected.double().numpy(), atol=1e-4)
    assert fid(images, images, model) == pytest.approx(0.0, abs=1e-4)
    assert fid(images, [255 - image for image in images], model) > fid(images, images[::-1], model) + 0.01


def scenes(count: int, seed: int, colour: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 120, (count, 32, 32, 3))
    made[..., colour] += 100
    return list(made.astype(np.uint8))


def test_equal_sets_are_at_no_distance_and_others_at_more() -> None:
    one = scenes(6, 0)
    assert sliced_wasserstein(one, one) == 0.0
    alike, other = sliced_wasserstein(one, scenes(6, 1)), sliced_wasserstein(one, scenes(6, 1, colour=2))
    assert 0 < alike < 0.2 * other  # it sees colours
    assert sliced_wasserstein(one, scenes(9, 1)) == alike  # the first of the larger set
    assert sliced_wasserstein(one, scenes(6, 1)) == alike


def test_the_distance_along_a_direction_is_wassersteins() -> None:
    """On constant images a patch is one colour, and all levels but the coarsest are empty."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (2, 5))
    one, other = ([np.full((16, 16, 3), value, np.uint8) for value in row] for row in colours)
    spread = np.repeat(colours[1], 128).std()
    expected = stats.wasserstein_distance(colours[0], colours[1]) / spread
    found = sliced_wasserstein(one, other)
    levels = len(pyramid(one))
    # along a direction d the distance of 147 equal numbers is |Σ d| times theirs; E|Σ d| = sqrt(2 / π)
    assert levels == 2
    assert found * levels == pytest.approx(expected * np.sqrt(2 / np.pi), rel=0.1)


def test_the_pyramid_adds_up_to_the_image() -> None:
    images = scenes(2, 3)
    levels = pyramid(images)
    assert len(levels) == LEVELS
    whole = torch.from_numpy(levels[-1])
    for level in levels[-2::-1]:
        size = level.shape[2:]
        whole = torch.nn.functional.interpolate(whole, size=size, mode="bilinear") + torch.from_numpy(level)
    np.testing.assert_allclose(whole.permute(0, 2, 3, 1).numpy(), np.stack(images), atol=1e-3)


def test_no_images_or_tiny_ones_are_refused() -> None:
    for made in ([], [np.zeros((5, 5, 3), np.uint8)]):
        with pytest.raises(ValueError, match="patches of 7 pixels"):
            sliced_wasserstein(made, scenes(2, 0))
