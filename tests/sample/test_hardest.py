"""Batch-hard mining against a loop, with lonely samples and samples of nobody."""

from __future__ import annotations

import math

import numpy as np
import torch

from baimu.sample.hardest import mine_hardest


def by_loop(features: np.ndarray, ids: list[int]) -> list[tuple[int | None, int | None]]:
    found: list[tuple[int | None, int | None]] = []
    for i, own in enumerate(ids):
        positive = negative = None
        for j, other in enumerate(ids):
            if i == j or own < 0 or other < 0:
                continue
            distance = math.dist(features[i], features[j])
            if other == own and (positive is None or distance > math.dist(features[i], features[positive])):
                positive = j
            if other != own and (negative is None or distance < math.dist(features[i], features[negative])):
                negative = j
        found.append((positive, negative))
    return found


def test_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = rng.integers(-1, 4, 12).tolist()
        features = rng.normal(size=(12, 5)).astype(np.float32)
        found = mine_hardest(torch.from_numpy(features), torch.tensor(ids))
        for i, (positive, negative) in enumerate(by_loop(features, ids)):
            assert bool(found.valid[i]) == (positive is not None and negative is not None)
            if positive is not None:
                assert int(found.positive[i]) == positive
            if negative is not None:
                assert int(found.negative[i]) == negative


def test_one_identity_has_no_triplet() -> None:
    assert not mine_hardest(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)).valid.any()


def test_it_gives_no_gradient() -> None:
    features = torch.randn(4, 2, requires_grad=True)
    assert not mine_hardest(features, torch.tensor([0, 0, 1, 1])).positive.requires_grad
