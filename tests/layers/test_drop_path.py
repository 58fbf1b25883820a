"""Stochastic depth: whole branches of single images go in training, and what stays makes up for them (1603.09382)."""

from __future__ import annotations

import pytest
import torch

from baimu.layers.drop_path import DropPath, rising_rates


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75])
def test_a_branch_goes_for_an_image_as_a_whole_or_stays_and_is_larger(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(2000, 3, 2, 2) + 1
    found = DropPath(rate).train()(x)
    gone = (found == 0).flatten(1)
    assert torch.equal(gone.all(1), gone.any(1)), "all of an image or nothing"
    assert gone.all(1).float().mean().item() == pytest.approx(rate, abs=0.04)
    torch.testing.assert_close(found[~gone.all(1)], x[~gone.all(1)] / (1 - rate))


def test_evaluation_keeps_every_branch_as_it_is() -> None:
    x = torch.rand(50, 3, 2, 2)
    assert torch.equal(DropPath(0.5).eval()(x), x)


def test_rates_rise_from_nothing_in_a_straight_line() -> None:
    assert rising_rates(0.2, 5) == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert rising_rates(0.2, 1) == [0.0]
    with pytest.raises(ValueError, match="1 excluded"):
        DropPath(1.0)
