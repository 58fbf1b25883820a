"""Verification of pairs: LFW's ten folds and the ROC against loops, drawn pairs, and what has no answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from baimu.datasets.characters import Characters
from baimu.datasets.source import Pairs
from baimu.metrics.embedding import FIGURES, score
from baimu.metrics.verification import Verification, draw_pairs, verify


def pairs_of(seed: int = 0, count: int = 200, apart: float = 0.4) -> Verification:
    rng = np.random.default_rng(seed)
    same = np.arange(count) % 2 == 0
    similarity = (rng.normal(0, 0.25, count) + np.where(same, apart, 0)).clip(-1, 1).astype(np.float32)
    return Verification(similarity, same, np.arange(count) // 2 % 10)


def test_ten_folds_as_facenet_has_them() -> None:
    given = pairs_of()
    distance = 2 - 2 * given.similarity.astype(np.float64)
    thresholds, accuracies = np.arange(0, 4, 0.01), []
    for fold in range(10):
        best, chosen = -1.0, 0.0
        others = given.fold != fold
        for threshold in thresholds:
            accuracy = np.mean((distance[others] < threshold) == given.same[others])
            if accuracy > best:
                best, chosen = accuracy, threshold
        own = ~others
        accuracies.append(np.mean((distance[own] < chosen) == given.same[own]))
    assert given.by_fold.tolist() == pytest.approx(accuracies, abs=1e-9)
    assert given.accuracy == pytest.approx(np.mean(accuracies), abs=1e-9)
    assert given.deviation == pytest.approx(np.std(accuracies), abs=1e-9)


def test_rates_against_loops() -> None:
    given = pairs_of(1)
    for rate in (0.01, 0.1, 0.5):
        best = 0.0
        for threshold in [*given.similarity.tolist(), 2.0]:
            accepted = given.similarity >= threshold
            if np.mean(accepted[~given.same]) <= rate:
                best = max(best, float(np.mean(accepted[given.same])))
        assert given.tar_at_far(rate) == pytest.approx(best)
    wins = [(a > b) + 0.5 * (a == b) for a in given.similarity[given.same] for b in given.similarity[~given.same]]
    assert given.auc == pytest.approx(np.mean(wins))
    error = given.equal_error
    accepted = given.similarity >= np.quantile(given.similarity[~given.same], 1 - error)
    assert np.mean(~accepted[given.same]) == pytest.approx(error, abs=0.02)


def test_perfect_and_random() -> None:
    same = np.arange(400) % 2 == 0
    perfect = Verification(np.where(same, 0.9, 0.1).astype(np.float32), same, np.arange(400) // 2 % 10)
    assert perfect.accuracy == perfect.auc == perfect.tar_at_far(1e-3) == 1
    assert perfect.equal_error == 0
    chance = pairs_of(2, 4000, apart=0.0)
    assert chance.accuracy == pytest.approx(0.5, abs=0.02)
    assert chance.auc == pytest.approx(0.5, abs=0.03)


def test_drawn_pairs_are_what_they_say() -> None:
    ids = np.array([0, 0, 0, 1, 1, 2, -1, -1, 3, 3])
    pairs = draw_pairs(ids, count=500)
    assert pairs.same.sum() == 250
    assert (pairs.first != pairs.second).all()
    assert ((ids[pairs.first] == ids[pairs.second]) == pairs.same).all()
    assert (ids[pairs.first] >= 0).all()
    assert (ids[pairs.second] >= 0).all()
    assert set(ids[pairs.first][pairs.same]) == {0, 1, 3}
    assert [pairs.same[pairs.fold == f].sum() for f in range(10)] == [25] * 10
    again = draw_pairs(ids, count=500)
    assert np.array_equal(pairs.first, again.first)
    assert np.array_equal(pairs.second, again.second)


def test_without_pairs_there_is_no_figure() -> None:
    for ids in (np.array([0, 1, 2]), np.array([0, 0, 0]), np.array([-1, -1])):
        found = verify(np.eye(len(ids), 4, dtype=np.float32), draw_pairs(ids))
        assert math.isnan(found.accuracy)
        assert math.isnan(found.tar_at_far(0.01))
        assert math.isnan(found.equal_error)


def test_named_pairs_are_used() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    pairs = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([True, False]), np.array([0, 1]))
    assert verify(vectors, pairs).similarity.tolist() == pytest.approx([0.8, 0])


def test_scores_say_everything() -> None:
    source = Characters(range(4), 5)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 6)).astype(np.float32) + 2 * np.repeat(np.eye(4, 6), 5, 0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = score(vectors, source)
    assert tuple(scores.figures()) == FIGURES
    assert 0.5 < scores.figures()["recall_at_1"] <= 1
    assert scores.figures()["recall_at_1"] == scores.retrieval.recall(1)
    rows = scores.table()
    assert rows[0]["identity"] == "all"
    assert rows[0]["queries"] == 20
    assert [row["mean_ap"] for row in rows[1:]] == sorted(row["mean_ap"] for row in rows[1:])
    assert np.mean([row["mean_ap"] for row in rows[1:]]) == pytest.approx(scores.figures()["mean_ap"])
    text = str(scores)
    assert "recall_at_1" in text
    assert "6,000 pairs (drawn)" in text
    assert set(scores.to_dict()) >= {*FIGURES, "identities", "cmc"}
    with pytest.raises(ValueError, match="one an image"):
        score(vectors[:3], source)
