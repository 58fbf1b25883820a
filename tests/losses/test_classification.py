"""Cross entropies, row by row and logit by logit."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from baimu.losses.classification import binary_cross_entropy_loss, cross_entropy_loss


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
