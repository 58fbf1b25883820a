"""Bicubic resizing: MATLAB's rule as a slow loop, torch's where the two agree, and what it must leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baimu.ops.resize import bicubic, weights


def kernel(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def slow_row(row: list[float], new: int) -> list[float]:
    """MATLAB's ``imresize`` of one row: places from 1, mirrored beyond the ends, the kernel widened when shrinking."""
    length, out = len(row), []
    scale = new / length
    wide = min(scale, 1.0)
    for x in range(1, new + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        first = math.floor(u - 2 / wide)
        taps = [(place, kernel(wide * (u - place))) for place in range(first, first + math.ceil(4 / wide) + 2)]
        total = sum(share for _, share in taps)
        value = 0.0
        for place, share in taps:
            cycle = (place - 1) % (2 * length)
            value += share / total * row[cycle if cycle < length else 2 * length - 1 - cycle]
        out.append(value)
    return out


@pytest.mark.parametrize(("length", "new"), [(12, 3), (13, 4), (12, 6), (7, 7), (5, 20), (9, 12), (3, 1), (24, 5)])
def test_it_is_matlabs_rule(length: int, new: int) -> None:
    row = np.random.default_rng(length).random(length)
    expected = slow_row(row.tolist(), new)
    found = weights(length, new).numpy() @ row
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_inside_it_is_torchs_with_antialiasing(scale: int) -> None:
    images = torch.rand(2, 3, 24 * scale, 20 * scale, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.interpolate(images, size=(24, 20), mode="bicubic", antialias=True, align_corners=False)
    found = bicubic(images, (24, 20))
    torch.testing.assert_close(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-6, rtol=0)


def test_constants_and_the_same_size_stay() -> None:
    flat = torch.full((3, 10, 14), 0.3)
    torch.testing.assert_close(bicubic(flat, (4, 9)), torch.full((3, 4, 9), 0.3))
    images = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(bicubic(images, (6, 5)), images)


def test_a_crop_of_the_reduced_image_is_the_reduction_of_a_wider_crop() -> None:
    """What crops for training rely on: four small pixels around are enough."""
    image = torch.rand(3, 160, 160, generator=torch.Generator().manual_seed(1))
    whole = bicubic(image, (40, 40))[:, 10:22, 8:20]
    part = bicubic(image[:, 24:104, 16:96], (20, 20))[:, 4:16, 4:16]
    torch.testing.assert_close(part, whole, atol=1e-6, rtol=0)
