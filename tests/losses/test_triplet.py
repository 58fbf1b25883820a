"""Triplet and centre losses against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from baimu.losses.triplet import center_loss, pair_distance, soft_margin_triplet_loss, triplet_loss


def test_against_loops() -> None:
    rng = np.random.default_rng(0)
    x, y, z = (torch.from_numpy(rng.normal(size=(5, 3)).astype(np.float32)) for _ in range(3))
    positive, negative = pair_distance(x, y), pair_distance(x, z)
    hard, soft, center = (
        triplet_loss(positive, negative),
        soft_margin_triplet_loss(positive, negative),
        center_loss(x, y),
    )
    for i in range(5):
        near = math.dist(x[i].tolist(), y[i].tolist())
        far = math.dist(x[i].tolist(), z[i].tolist())
        assert positive[i].item() == pytest.approx(near, rel=1e-5)
        assert hard[i].item() == pytest.approx(max(0.0, near - far + 0.3), abs=1e-5)
        assert soft[i].item() == pytest.approx(math.log(1 + math.exp(near - far)), rel=1e-5)
        assert center[i].item() == pytest.approx(near**2, rel=1e-5)


def test_equal_features_have_a_finite_gradient() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    pair_distance(x, torch.ones(2, 3)).sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_bfloat16_is_taken_in_float32() -> None:
    x, y = torch.full((1, 4), 100.0).bfloat16(), torch.full((1, 4), 101.0).bfloat16()
    assert pair_distance(x, y).item() == pytest.approx(2.0)
