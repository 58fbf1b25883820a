"""Cross entropies, row by row and logit by logit."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from baimu.losses.classification import (
    binary_cross_entropy_loss,
    binary_focal_loss,
    cross_entropy_loss,
    soft_cross_entropy_loss,
    softmax_focal_loss,
)
from baimu.losses.focal import sigmoid_focal_loss


def test_golden_value() -> None:
    assert cross_entropy_loss(torch.tensor([[1.0, -2, 0.5]]), torch.tensor([1])).item() == pytest.approx(3.5045969)


def test_softmax_equals_a_loop_with_and_without_smoothing() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 3
    target = torch.arange(20) % 4
    for smoothing in (0.0, 0.1):
        expected = []
        for row, label in zip(logits.tolist(), target.tolist(), strict=True):
            total = math.log(sum(math.exp(x) for x in row))
            share = [smoothing / 4 + (1 - smoothing) * (i == label) for i in range(4)]
            expected.append(sum(s * (total - x) for s, x in zip(share, row, strict=True)))
        assert cross_entropy_loss(logits, target, smoothing).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_softmax_minus_target_and_a_shift_changes_nothing() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    target = torch.arange(6) % 5
    cross_entropy_loss(logits, target).sum().backward()
    torch.testing.assert_close(logits.grad, logits.softmax(1) - F.one_hot(target, 5))
    torch.testing.assert_close(
        cross_entropy_loss(logits + 7.5, target), cross_entropy_loss(logits, target), atol=1e-5, rtol=1e-5
    )


def test_binary_equals_a_loop_for_soft_targets_too() -> None:
    logits, target = torch.tensor([-3.0, -0.5, 0, 0.5, 3]), torch.tensor([0.0, 1, 0.3, 0.7, 1])
    expected = []
    for x, y in zip(logits.tolist(), target.tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        expected.append(-y * math.log(p) - (1 - y) * math.log(1 - p))
    assert binary_cross_entropy_loss(logits, target).tolist() == pytest.approx(expected, rel=1e-5)
    assert binary_cross_entropy_loss(torch.tensor([-1e4, 1e4]), torch.tensor([1.0, 0])).tolist() == [1e4, 1e4]


def test_half_precision_is_computed_in_float32_and_no_rows_give_no_losses() -> None:
    half = torch.randn(4, 3).half()
    assert cross_entropy_loss(half, torch.zeros(4, dtype=torch.int64)).dtype == torch.float32
    assert binary_cross_entropy_loss(half, torch.zeros(4, 3)).dtype == torch.float32
    assert cross_entropy_loss(half[:0], torch.zeros(0, dtype=torch.int64)).shape == (0,)


def rows(count: int = 12, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and shares as of blended images."""
    random = torch.Generator().manual_seed(3)
    return torch.randn(count, classes, generator=random) * 3, torch.rand(count, classes, generator=random).softmax(1)


def test_shares_equal_a_loop_with_and_without_class_weights() -> None:
    logits, shares = rows()
    for weight in (None, torch.tensor([1.0, 0.5, 2, 0])):
        expected = []
        for x, y in zip(logits.tolist(), shares.tolist(), strict=True):
            total = math.log(sum(map(math.exp, x)))
            factors = [1.0] * 4 if weight is None else weight.tolist()
            expected.append(sum(f * share * (total - a) for f, share, a in zip(factors, y, x, strict=True)))
        assert soft_cross_entropy_loss(logits, shares, weight).tolist() == pytest.approx(expected, rel=1e-5)


def test_smoothed_shares_have_the_golden_value() -> None:
    shares = 0.9 * F.one_hot(torch.tensor([2]), 3) + 0.1 / 3
    assert soft_cross_entropy_loss(torch.tensor([[1.0, 2, 3]]), shares).item() == pytest.approx(0.507606, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_softmax_focal_equals_a_loop(gamma: float) -> None:
    logits, shares = rows()
    weight = torch.tensor([1.0, 0.5, 2, 0])
    expected = []
    for x, y in zip(logits.tolist(), shares.tolist(), strict=True):
        p = [math.exp(a) / sum(map(math.exp, x)) for a in x]
        expected.append(
            -sum(f * s * (1 - q) ** gamma * math.log(q) for f, s, q in zip(weight.tolist(), y, p, strict=True))
        )
    assert softmax_focal_loss(logits, shares, gamma, weight).tolist() == pytest.approx(expected, rel=1e-4)


def test_softmax_focal_without_focus_is_cross_entropy_and_stays_finite_where_it_is_certain() -> None:
    logits, shares = rows()
    torch.testing.assert_close(softmax_focal_loss(logits, shares, 0.0), soft_cross_entropy_loss(logits, shares))
    for gamma in (0.5, 2.0):
        sure = torch.tensor([[1e3, 0.0], [0.0, 1e3]], requires_grad=True)
        loss = softmax_focal_loss(sure, torch.tensor([[1.0, 0], [1, 0]]), gamma)
        assert loss.tolist() == pytest.approx([0, 1e3])
        loss.sum().backward()
        assert sure.grad.tolist() == [pytest.approx([0, 0], abs=1e-3), pytest.approx([-1, 1], rel=1e-4)]


def test_two_classes_of_softmax_focal_are_one_of_sigmoid_focal() -> None:
    x = torch.linspace(-5, 5, 21)
    two = softmax_focal_loss(torch.stack([torch.zeros(21), x], 1), torch.tensor([[0.0, 1]]).expand(21, 2), 2.0)
    one = sigmoid_focal_loss(x, torch.ones(21, dtype=torch.bool), alpha=0.5)
    torch.testing.assert_close(two, 2 * one, atol=1e-6, rtol=1e-4)


def test_binary_focal_of_whole_labels_is_sigmoid_focal_and_between_them_their_mean() -> None:
    x, yes = torch.linspace(-4, 4, 10), torch.arange(10) % 3 == 0
    torch.testing.assert_close(binary_focal_loss(x, yes.float(), 0.3, 1.5), sigmoid_focal_loss(x, yes, 0.3, 1.5))
    both = [sigmoid_focal_loss(x, torch.full((10,), flag)) for flag in (True, False)]
    torch.testing.assert_close(binary_focal_loss(x, torch.full((10,), 0.2)), 0.2 * both[0] + 0.8 * both[1])


def test_positives_of_a_rare_class_can_weigh_more() -> None:
    logits, target = torch.zeros(2, 3), torch.tensor([[1.0, 0, 1], [0, 1, 1]])
    found = binary_cross_entropy_loss(logits, target, torch.tensor([1.0, 2, 5])) / math.log(2)
    assert found.tolist() == [pytest.approx([1, 1, 5]), pytest.approx([1, 2, 5])]
