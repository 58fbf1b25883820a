"""Bi-tempered logistic loss: the reference's own test cases, an exact solution, difference quotients, its limits.

The numbers without a formula beside them are those of google/bi-tempered-loss, tensorflow/loss_test.py.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baimu.losses.bi_tempered import (
    bi_tempered_binary_loss,
    bi_tempered_loss,
    exp_t,
    log_t,
    tempered_softmax,
)

LOGITS = torch.tensor([[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]])


def noise(*shape: int, scale: float = 3.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * scale


def shares(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)).softmax(-1)


def exact_softmax(logits: Tensor, t: float) -> Tensor:
    """In float64 by 200 halvings: the sum falls as the normaliser rises from the largest logit."""
    x = logits.double()
    low = x.amax(1, keepdim=True)
    high = low + 1e4

    def p(normaliser: Tensor) -> Tensor:
        return (1 + (1 - t) * (x - normaliser)).clamp(min=0).pow(1 / (1 - t))

    for _ in range(200):
        middle = (low + high) / 2
        large = p(middle).sum(1, keepdim=True) > 1
        low, high = torch.where(large, middle, low), torch.where(large, high, middle)
    return p(low)


def exact_loss(logits: Tensor, y: Tensor, t1: float, t2: float) -> Tensor:
    """The divergence in float64; terms of share 0 have no logarithm."""
    p, y = exact_softmax(logits, t2), y.double()

    def log(u: Tensor) -> Tensor:
        return u.log() if t1 == 1 else (u.pow(1 - t1) - 1) / (1 - t1)

    first = torch.where(y > 0, y * (log(y.clamp(min=1e-300)) - log(p.clamp(min=1e-300))), 0)
    return (first - (y.pow(2 - t1) - p.pow(2 - t1)) / (2 - t1)).sum(-1)


def test_published_values() -> None:
    y = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]])
    found = bi_tempered_loss(LOGITS, y, 0.5, 1.5)
    assert found.tolist() == pytest.approx([0.02301914, 0.18972909, 0.93874922], abs=1e-6)
    found = bi_tempered_loss(LOGITS, y, 0.5, 0.8, iterations=20)
    assert found.tolist() == pytest.approx([0.21646356, 0.41836615, 1.33997854], abs=1e-6)


def test_published_values_with_their_label_smoothing() -> None:
    """It moves 0.1 to the *other* classes together: the share 0.1 · 3 / 2 to all of them."""
    y = torch.eye(3) * (1 - 0.1 * 3 / 2) + 0.1 / 2
    found = bi_tempered_loss(LOGITS, y, 0.5, 1.5)
    assert found.tolist() == pytest.approx([0.76652711, 0.08627685, 1.35443510], rel=1e-5)


@pytest.mark.parametrize(
    ("t1", "t2", "expected"),
    [(1.0, 1.0, 0.628705), (0.9, 1.1, 0.45677936), (0.8, 1.2, 0.34298314), (0.7, 1.3, 0.26295574)],
)
def test_published_values_of_four_temperatures(t1: float, t2: float, expected: float) -> None:
    """That of t1 = t2 = 1 is jax/loss_test.py's; TensorFlow's, 1.6583576, leaves the entropy of the labels in."""
    found = bi_tempered_loss(LOGITS[:1], torch.tensor([[0.2, 0.5, 0.3]]), t1, t2)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_published_probabilities() -> None:
    expected = [
        [0.3205458, 0.32714278, 0.3523402], [0.3430056, 0.36491093, 0.29220778], [0.41369352, 0.30534995, 0.28299212],
    ]  # fmt: skip
    torch.testing.assert_close(tempered_softmax(LOGITS, 4.0), torch.tensor(expected), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(tempered_softmax(LOGITS, 1.0), LOGITS.softmax(1))
    pairs = torch.stack([torch.zeros(3), torch.tensor([0.0, 3, 6])], 1)
    assert tempered_softmax(pairs, 4.0)[:, 1].tolist() == pytest.approx([0.5, 0.58516014, 0.6421035])


@pytest.mark.parametrize("t", [0.1, 0.99, 1.01, 2.0])
def test_many_classes_sum_to_one(t: float) -> None:
    """The reference's test of the normalisation: 50,000 classes, twenty iterations."""
    sums = tempered_softmax(noise(20, 50_000, scale=1.0), t, iterations=20).sum(1)
    torch.testing.assert_close(sums, torch.ones(20), atol=1e-5, rtol=0)


def test_binary_published_and_as_two_classes() -> None:
    zeros = torch.zeros(2)
    assert bi_tempered_binary_loss(zeros, torch.tensor([1.0, 0]), 1.0, 1.0).tolist() == pytest.approx([0.69314718] * 2)
    x, y = noise(4, 3), torch.rand(4, 3, generator=torch.Generator().manual_seed(2))
    pair = torch.stack([torch.zeros(4, 3), x], -1)
    torch.testing.assert_close(bi_tempered_binary_loss(x, y), bi_tempered_loss(pair, torch.stack([1 - y, y], -1)))


@pytest.mark.parametrize("t1", [0.0, 0.5, 1.0, 1.3])
@pytest.mark.parametrize("t2", [0.6, 1.1, 2.0])
def test_values_are_the_exact_solution(t1: float, t2: float) -> None:
    """With enough iterations. A share of a class that t2 < 1 leaves out of reach would cost infinitely much, t1 ≥ 1."""
    logits, y = noise(30, 4, scale=0.6), shares(30, 4)
    y = y * (exact_softmax(logits, t2) > 0)
    y = y / y.sum(1, keepdim=True)
    assert (y == 0).any() == (t2 < 1)
    found = bi_tempered_loss(logits, y, t1, t2, iterations=60)
    torch.testing.assert_close(found.double(), exact_loss(logits, y, t1, t2), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("t1", "t2"), [(0.5, 1.5), (0.8, 1.2), (1.0, 1.5), (0.5, 1.0001), (0.2, 0.7), (0.0, 3.0)])
def test_the_gradient_is_the_difference_quotient_of_the_exact_solution(t1: float, t2: float) -> None:
    logits, y = noise(8, 4, scale=0.6).requires_grad_(), shares(8, 4)
    weight = torch.arange(1.0, 9)
    (slope,) = torch.autograd.grad((bi_tempered_loss(logits, y, t1, t2, iterations=60) * weight).sum(), logits)
    step = 1e-5
    for k in range(4):
        moved = torch.zeros(8, 4, dtype=torch.float64)
        moved[:, k] = step
        x = logits.detach().double()
        quotient = (exact_loss(x + moved, y, t1, t2) - exact_loss(x - moved, y, t1, t2)) / (2 * step)
        torch.testing.assert_close(slope[:, k].double(), quotient * weight, rtol=2e-3, atol=2e-4)
    assert slope.sum(1).abs().max() < 1e-5  # a shift of all logits changes nothing


def test_own_golden_values() -> None:
    one_hot, logits = torch.tensor([[0.0, 0, 1]]), torch.tensor([[1.0, 2, 3]])
    for temperatures, p, loss in (
        ((0.8, 1.2), (0.129440, 0.264034, 0.606526), 0.340071),
        ((0.5, 2.0), (0.237286, 0.311108, 0.451606), 0.384367),
    ):
        assert tempered_softmax(logits, temperatures[1], 60)[0].tolist() == pytest.approx(p, abs=1e-6)
        assert bi_tempered_loss(logits, one_hot, *temperatures, 60).item() == pytest.approx(loss, abs=1e-6)
    x = torch.tensor([[1.0, -2, 0.5]], requires_grad=True)
    value = bi_tempered_loss(x, torch.tensor([[0.0, 1, 0]]), 0.8, 1.2)
    assert value.item() == pytest.approx(1.9650521, rel=1e-5)
    value.backward()
    assert x.grad[0].tolist() == pytest.approx([0.2218813, -0.3326945, 0.1108132], abs=1e-5)


def test_at_one_and_one_it_is_cross_entropy_less_the_entropy_of_the_target() -> None:
    logits, y = noise(20, 5).requires_grad_(), shares(20, 5)
    entropy = -(y * y.log()).sum(1)
    loss = bi_tempered_loss(logits, y, 1.0, 1.0)
    torch.testing.assert_close(loss, F.cross_entropy(logits, y, reduction="none") - entropy, rtol=1e-5, atol=1e-5)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(slope, logits.softmax(1) - y)


@pytest.mark.parametrize("t2", [0.8, 1.2])
def test_a_shift_changes_nothing(t2: float) -> None:
    logits, y = noise(6, 3), shares(6, 3)
    torch.testing.assert_close(
        bi_tempered_loss(logits + noise(6, 1), y, 0.5, t2), bi_tempered_loss(logits, y, 0.5, t2), rtol=1e-4, atol=1e-5
    )


def test_a_label_that_is_far_off_costs_no_more_than_the_bound() -> None:
    """1 / (1 − t1), where cross entropy grows with the logit; and it pulls no more there."""
    logits = torch.tensor([[1e2, 0.0], [1e4, 0], [1e6, 0]], requires_grad=True)
    loss = bi_tempered_loss(logits, torch.tensor([[0.0, 1]]).expand(3, 2), 0.5, 1.0)
    assert loss.tolist() == pytest.approx([2, 2, 2], abs=1e-4)
    loss.sum().backward()
    assert bool(torch.isfinite(logits.grad).all())
    assert logits.grad.abs().max() < 1e-4


def test_classes_out_of_reach_have_no_probability_and_no_gradient() -> None:
    logits = torch.tensor([[1.2, 1, -20]], requires_grad=True)
    p = tempered_softmax(logits.detach(), 0.5)
    assert p[0, 2].item() == 0
    for t1 in (0.3, 1.0):
        loss = bi_tempered_loss(logits, torch.tensor([[0.5, 0.5, 0]]), t1, 0.5)
        (slope,) = torch.autograd.grad(loss.sum(), logits)
        assert bool(torch.isfinite(loss).all() & torch.isfinite(slope).all())
        assert slope[0, 2].item() == 0


def test_exponential_and_logarithm_are_inverse() -> None:
    u = torch.linspace(0.1, 2, 9)
    for t in (0.5, 1.0, 1.7):
        torch.testing.assert_close(exp_t(log_t(u, t), t), u)


def test_half_precision_shapes_and_errors() -> None:
    half = noise(2, 3, 4).half().requires_grad_()
    loss = bi_tempered_loss(half, shares(2, 3, 4))
    assert (loss.shape, loss.dtype) == ((2, 3), torch.float32)
    loss.sum().backward()
    assert half.grad.dtype == torch.float16
    assert bi_tempered_loss(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)
    with pytest.raises(ValueError, match="t1 must be below 2 and t2 above 0, got 2 and 1"):
        bi_tempered_loss(LOGITS, torch.eye(3), 2, 1)
