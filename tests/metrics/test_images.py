"""PSNR and SSIM against scikit-image and by hand; the luma of BT.601."""

from __future__ import annotations

import math

import numpy as np
import pytest

from baimu.metrics.images import ImageScores, luma, mean_scores, psnr, ssim

RNG = np.random.default_rng(0)


def images(height: int = 40, width: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """A picture with structure, and itself with noise."""
    y, x = np.mgrid[:height, :width]
    planes = [127 + 90 * np.sin(x / (3 + c)) * np.cos(y / (5 - c)) for c in range(3)]
    one = np.stack(planes, 2)
    other = one + RNG.normal(0, 12, one.shape)
    return one.clip(0, 255).astype(np.uint8), other.clip(0, 255).astype(np.uint8)


def test_psnr_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    one, other = images()
    assert psnr(one, other) == pytest.approx(metrics.peak_signal_noise_ratio(one, other, data_range=255), abs=1e-10)
    inner = metrics.peak_signal_noise_ratio(one[4:-4, 4:-4], other[4:-4, 4:-4], data_range=255)
    assert psnr(one, other, border=4) == pytest.approx(inner, abs=1e-10)


def test_ssim_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    one, other = images()
    settings = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = metrics.structural_similarity(one, other, channel_axis=2, **settings)
    assert ssim(one, other) == pytest.approx(expected, abs=1e-10)
    plane = metrics.structural_similarity(luma(one), luma(other), **settings)
    assert ssim(luma(one), luma(other)) == pytest.approx(plane, abs=1e-10)


def test_ssim_of_one_window_by_its_equation() -> None:
    one, other = (RNG.uniform(0, 255, (11, 11)) for _ in range(2))
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    window /= window.sum()
    m1, m2 = (window * one).sum(), (window * other).sum()
    v1, v2 = (window * (one - m1) ** 2).sum(), (window * (other - m2) ** 2).sum()
    both = (window * (one - m1) * (other - m2)).sum()
    c1, c2 = 6.5025, 58.5225
    expected = (2 * m1 * m2 + c1) * (2 * both + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))
    assert ssim(one, other) == pytest.approx(expected, abs=1e-9)


def test_known_values() -> None:
    flat = np.full((20, 20, 3), 100, np.uint8)
    assert psnr(flat, flat + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(flat, flat) == math.inf
    one, _ = images()
    assert ssim(one, one) == pytest.approx(1.0)


def test_the_luma_goes_from_16_to_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(luma(ends)[0], [16, 235, 16 + 65.481], atol=1e-9)


def test_what_cannot_be_compared_is_refused() -> None:
    one, other = images()
    with pytest.raises(ValueError, match="two sizes"):
        psnr(one, other[1:])
    with pytest.raises(ValueError, match="windows of 11 pixels; the images are 9x40"):
        ssim(one[:, :9], other[:, :9])
    with pytest.raises(ValueError, match="nothing is left of 33x40"):
        psnr(one, other, border=17)


def test_scores_are_means_and_the_table_starts_with_the_worst() -> None:
    scores = mean_scores(["a", "b"], [{"psnr": 30.0, "l1": 0.1}, {"psnr": 20.0, "l1": 0.3}])
    assert isinstance(scores, ImageScores)
    assert scores.figures() == pytest.approx({"psnr": 25.0, "l1": 0.2})
    assert [row["image"] for row in scores.table()] == ["b", "a"]
    assert str(scores).splitlines()[0] == "psnr  25.0000"
