"""Margins against loops over the papers' formulas in double precision, with samples past π, and both gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baimu.losses.margin import (
    arcface_logits,
    combined_margin_logits,
    cosface_logits,
    straight_through_margin_logits,
    without_near_ones,
)

IDS = torch.tensor([3, 0, 2, 2, -1, 1])


def cosines(seed: int = 0) -> torch.Tensor:
    """Six samples, four identities; the first lies close to its centre, the second opposite to it."""
    found = torch.from_numpy(np.random.default_rng(seed).uniform(-0.95, 0.95, (6, 4)))
    found[0, 3], found[1, 0] = 0.9999, -0.999
    return found


def by_loop(
    cosine: torch.Tensor, scale: float, m1: float, m2: float, m3: float, threshold: float = 0.0
) -> list[list[float]]:
    logits = []
    for row, own in zip(cosine.tolist(), IDS.tolist(), strict=True):
        out = []
        for k, value in enumerate(row):
            if k == own:
                angle = m1 * math.acos(value) + m2
                past = m1 == 1 and angle > math.pi
                out.append(scale * ((value - m2 * math.sin(m2) if past else math.cos(angle)) - m3))
            else:
                out.append(0.0 if threshold and value > threshold else scale * value)
        logits.append(out)
    return logits


@pytest.mark.parametrize(
    ("m1", "m2", "m3", "threshold"),
    [(1, 0.5, 0, 0), (1, 0, 0.35, 0), (1, 0.3, 0.2, 0), (0.9, 0.4, 0.15, 0), (1.35, 0, 0, 0), (1, 0.5, 0, 0.3)],
)
def test_the_formula(m1: float, m2: float, m3: float, threshold: float) -> None:
    found = combined_margin_logits(cosines().float(), IDS, m1=m1, m2=m2, m3=m3, interclass_filter=threshold)
    expected = torch.tensor(by_loop(cosines(), 64.0, m1, m2, m3, threshold))
    torch.testing.assert_close(found, expected, atol=2e-3 if m1 != 1 else 1e-4, rtol=1e-5)


def test_named_margins_and_the_specs_numbers() -> None:
    cosine, ids = torch.tensor([[0.8, 0.1]]), torch.tensor([0])
    assert arcface_logits(cosine, ids)[0].tolist() == pytest.approx([26.522286, 6.4], rel=1e-6)
    assert cosface_logits(cosine, ids)[0].tolist() == pytest.approx([28.8, 6.4], rel=1e-6)


def test_the_gradient_is_that_of_the_formula() -> None:
    """``sin(θ + m) / sin θ`` times the scale, for the own identity; the scale for others; past π the scale."""
    cosine = cosines().float().requires_grad_()
    arcface_logits(cosine, IDS).sum().backward()
    expected = torch.full((6, 4), 64.0)
    for row, own in ((0, 3), (2, 2), (3, 2), (5, 1)):
        angle = math.acos(cosines()[row, own])
        if angle + 0.5 < math.pi:
            expected[row, own] *= math.sin(angle + 0.5) / math.sin(angle)
    assert cosine.grad is not None
    torch.testing.assert_close(cosine.grad, expected, rtol=1e-3, atol=1e-3)


def test_the_reference_s_gradient_knows_no_margin() -> None:
    cosine = cosines().float().requires_grad_()
    logits = straight_through_margin_logits(cosine, IDS, m2=0.5)
    F.cross_entropy(logits[:4], IDS[:4], reduction="sum").backward()
    share = logits[:4].detach().softmax(1) - F.one_hot(IDS[:4], 4)
    assert cosine.grad is not None
    torch.testing.assert_close(cosine.grad[:4], 64 * share)


def test_both_have_the_same_logits_up_to_pi() -> None:
    cosine, within = cosines().float(), [0, 2, 3, 4, 5]
    exact, through = arcface_logits(cosine, IDS), straight_through_margin_logits(cosine, IDS, m2=0.5)
    torch.testing.assert_close(exact[within], through[within], atol=5e-4, rtol=1e-5)
    assert exact[1, 0] < through[1, 0] - 1, "past π the reference rises again"


def test_the_own_logit_falls_with_the_angle_everywhere() -> None:
    angle = torch.linspace(0.001, math.pi - 0.001, 500)
    own = arcface_logits(angle.cos()[:, None], torch.zeros(500, dtype=torch.int64))[:, 0]
    assert bool((own.diff() < 0).all())
    rising = straight_through_margin_logits(angle.cos()[:, None], torch.zeros(500, dtype=torch.int64), m2=0.5)[:, 0]
    assert bool((rising.diff() > 0).any())


def test_on_the_centre_the_gradient_is_finite() -> None:
    cosine = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    arcface_logits(cosine, torch.tensor([0, 0])).sum().backward()
    assert cosine.grad is not None
    assert bool(torch.isfinite(cosine.grad).all())


def test_the_filter_spares_the_own_identity() -> None:
    cosine = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.31, 0.3]])
    found = without_near_ones(cosine, torch.tensor([0, -1]), 0.3)
    assert found.tolist() == [pytest.approx([0.9, 0, 0.1]), pytest.approx([0.2, 0, 0.3])]
    assert without_near_ones(cosine, torch.tensor([0, 1]), 0.0) is cosine
