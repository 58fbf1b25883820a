"""Samplers: quotas, what is never chosen, and that the seed decides."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baimu.sample.random import Sampled, sample_all, sample_random


def assignment(positives: int, negatives: int, ignored: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """A shuffled assignment (B, P)."""
    values = torch.cat([torch.arange(positives) % 5, torch.full((negatives,), -1), torch.full((ignored,), -2)])
    random = torch.Generator().manual_seed(seed)
    return torch.stack([values[torch.randperm(len(values), generator=random)] for _ in range(batch)])


def counts(sampled: Sampled) -> list[tuple[int, int]]:
    """Positives and negatives of each image."""
    negatives = sampled.valid & ~sampled.positive
    return list(zip(sampled.positive.sum(1).tolist(), negatives.sum(1).tolist(), strict=True))


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [
        (200, 800, (128, 128)),  # enough of both: half positive
        (10, 800, (10, 246)),  # negatives fill the rest
        (200, 40, (128, 40)),  # positives do not fill for missing negatives
        (0, 800, (0, 256)),
        (0, 40, (0, 40)),
        (0, 0, (0, 0)),
    ],
)
def test_quotas(positives: int, negatives: int, expected: tuple[int, int]) -> None:
    assigned = assignment(positives, negatives, ignored=500)
    sampled = sample_random(assigned, count=256, positive_share=0.5)
    assert counts(sampled) == [expected]
    assert sampled.index.shape == (1, 256)


@settings(max_examples=40)
@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 40),
    st.sampled_from((0.0, 0.25, 0.5, 1.0)),
)
def test_what_is_chosen_is_what_it_says(positives: int, negatives: int, ignored: int, count: int, share: float) -> None:
    if positives + negatives + ignored == 0:
        ignored = 1
    assigned = assignment(positives, negatives, ignored, batch=2)
    sampled = sample_random(assigned, count=count, positive_share=share)
    index, positive, valid = sampled
    assert index.shape[1] == min(count, assigned.shape[1]), "a fixed number of places"
    for i in range(2):
        chosen = index[i, valid[i]].tolist()
        assert len(set(chosen)) == len(chosen), "nothing twice"
        assert torch.equal(positive[i] & valid[i], positive[i]), "padding is not positive"
        values = assigned[i, index[i]]
        assert bool((values[positive[i]] >= 0).all())
        assert bool((values[valid[i] & ~positive[i]] == -1).all()), "never an ignored one"
    for p, n in counts(sampled):
        allowed = max(1, int(count * share)) if share else 0
        assert p <= min(positives, allowed)
        assert n == min(negatives, index.shape[1] - p), "negatives fill every place they can"


def test_the_seed_decides_and_another_seed_chooses_others() -> None:
    assigned = assignment(100, 400, 100, batch=2)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(sample_random(assigned, count=64, positive_share=0.5))
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not torch.equal(draws[0].index, draws[2].index)
    assert not torch.equal(draws[0].index[0], draws[0].index[1]), "images are drawn apart"


def test_every_prior_is_chosen_equally_often() -> None:
    torch.manual_seed(0)
    sampled = sample_random(assignment(4, 12, 4).expand(4000, -1), count=8, positive_share=0.25)
    often = torch.bincount(sampled.index[sampled.valid], minlength=20) / 4000
    kind = assignment(4, 12, 4)[0]
    torch.testing.assert_close(often[kind >= 0], torch.full((4,), 2 / 4), atol=0.05, rtol=0)
    torch.testing.assert_close(often[kind == -1], torch.full((12,), 6 / 12), atol=0.05, rtol=0)


def test_all_takes_everything_but_the_ignored() -> None:
    assigned = assignment(3, 4, 5, batch=2)
    index, positive, valid = sample_all(assigned)
    assert index.tolist() == [list(range(12))] * 2
    assert torch.equal(positive, assigned >= 0)
    assert torch.equal(valid, assigned != -2)
