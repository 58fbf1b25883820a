"""Focal loss: golden values, torchvision's values and gradients, and a difference quotient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision

from baimu.losses.focal import sigmoid_focal_loss


def logits(*shape: int, scale: float = 4.0) -> torch.Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * scale).requires_grad_()


def test_golden_values() -> None:
    x = torch.tensor([-2.0, 0, 2])
    background = sigmoid_focal_loss(x, torch.zeros(3, dtype=torch.bool))
    objects = sigmoid_focal_loss(x, torch.ones(3, dtype=torch.bool))
    assert background.tolist() == pytest.approx([0.0013526721, 0.1299650964, 1.2375586346], rel=2e-6)
    assert objects.tolist() == pytest.approx([0.4125195449, 0.0433216988, 0.0004508907], rel=2e-6)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.4, 1.5), (0.9, 1.0), (0.25, 0.0), (0.5, 3.0)])
def test_values_and_gradients_equal_torchvision(alpha: float, gamma: float) -> None:
    x = logits(400, 5)
    target = torch.rand(400, 5, generator=torch.Generator().manual_seed(1)) > 0.7
    weight = torch.rand(400, 5, generator=torch.Generator().manual_seed(2))
    ours = sigmoid_focal_loss(x, target, alpha, gamma)
    theirs = torchvision.ops.sigmoid_focal_loss(x, target.float(), alpha, gamma)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    (slope,) = torch.autograd.grad((ours * weight).sum(), x)
    (expected,) = torch.autograd.grad((theirs * weight).sum(), x)
    torch.testing.assert_close(slope, expected, atol=1e-6, rtol=1e-4)


def test_the_gradient_is_the_difference_quotient() -> None:
    """In float64 by the formula, for the function itself computes in float32."""

    def formula(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        p = torch.where(target, x.sigmoid(), 1 - x.sigmoid())
        return -torch.where(target, 0.25, 0.75) * (1 - p) ** 2 * p.log()

    x = torch.linspace(-6, 6, 49).repeat(2).requires_grad_()
    target = torch.arange(98) < 49
    sigmoid_focal_loss(x, target).sum().backward()
    x64, step = x.detach().double(), 1e-5
    quotient = (formula(x64 + step, target) - formula(x64 - step, target)) / (2 * step)
    torch.testing.assert_close(x.grad.double(), quotient, atol=1e-6, rtol=1e-4)


def test_without_focus_it_is_half_the_cross_entropy() -> None:
    x, target = logits(50), torch.arange(50) % 3 == 0
    half = F.binary_cross_entropy_with_logits(x, target.float(), reduction="none") / 2
    torch.testing.assert_close(sigmoid_focal_loss(x, target, alpha=0.5, gamma=0.0), half)


def test_the_gradient_never_changes_sign() -> None:
    for target in (False, True):
        x = torch.linspace(-30, 30, 601).requires_grad_()
        sigmoid_focal_loss(x, torch.full((601,), target)).sum().backward()
        assert bool((x.grad <= 0).all() if target else (x.grad >= 0).all())


def test_extreme_logits_stay_finite_and_exact() -> None:
    x = torch.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
    loss = sigmoid_focal_loss(x, torch.tensor([True, True, False, False]))
    assert loss.tolist() == pytest.approx([2500, 25, 75, 7500])
    loss.sum().backward()
    assert x.grad.tolist() == pytest.approx([-0.25, -0.25, 0.75, 0.75])


def test_half_precision_logits_are_computed_in_float32() -> None:
    x = logits(64, scale=2.0).detach().bfloat16().requires_grad_()
    target = torch.arange(64) % 2 == 0
    loss = sigmoid_focal_loss(x, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, sigmoid_focal_loss(x.float(), target))
    loss.sum().backward()
    assert x.grad.dtype == torch.bfloat16
    assert bool(torch.isfinite(x.grad).all())


def test_no_elements_give_a_zero_that_is_connected() -> None:
    x = torch.zeros(0, 3, requires_grad=True)
    sigmoid_focal_loss(x, torch.zeros(0, 3, dtype=torch.bool)).sum().backward()
    assert x.grad.shape == (0, 3)
