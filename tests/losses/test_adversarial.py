"""Adversarial losses against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from baimu.losses.adversarial import least_squares_gan_loss, vanilla_gan_loss


def test_vanilla_is_the_cross_entropy_of_the_answer_that_is_asked_for() -> None:
    logits = torch.linspace(-60, 60, 25).reshape(5, 5)
    for real in (True, False):
        truth = torch.full_like(logits, float(real))
        expected = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        torch.testing.assert_close(vanilla_gan_loss(logits, real), expected)


def test_least_squares_are_squares_to_one_or_zero() -> None:
    logits = torch.tensor([-1.0, 0.0, 0.5, 2.0])
    assert least_squares_gan_loss(logits, True).tolist() == [4.0, 1.0, 0.25, 1.0]
    assert least_squares_gan_loss(logits, False).tolist() == [1.0, 0.0, 0.25, 4.0]


@pytest.mark.parametrize(
    ("loss", "undecided", "value"), [(vanilla_gan_loss, 0.0, math.log(2)), (least_squares_gan_loss, 0.5, 0.25)]
)
def test_an_undecided_discriminator_pays_the_same_for_both(loss, undecided: float, value: float) -> None:
    logits = torch.full((2, 3), undecided, dtype=torch.bfloat16)
    for real in (True, False):
        found = loss(logits, real)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.full((2, 3), value))
