"""Scores of label maps against loops over pixels and scikit-learn."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, recall_score

from baimu.metrics.segmentation import FIGURES, confusion_of, score_maps

NAMES = ("ground", "cell", "vessel", "rare")


def maps(seed: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        truth = rng.integers(0, 4, (7, 9)).astype(np.uint8)
        found = np.where(rng.random((7, 9)) < 0.6, truth, rng.integers(0, 4, (7, 9))).astype(np.uint8)
        truth[rng.random((7, 9)) < 0.2] = 255
        pairs.append((truth, found))
    return pairs


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_scikit_learns(seed: int) -> None:
    pairs = maps(seed)
    scores = score_maps([confusion_of(t, f, 4) for t, f in pairs], NAMES)
    truth, found = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    truth, found = truth[truth != 255], found[truth != 255]
    labels, each = list(range(4)), cast("str", None)
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(truth, found, labels=labels))
    np.testing.assert_allclose(scores.class_iou, jaccard_score(truth, found, labels=labels, average=each))
    np.testing.assert_allclose(scores.class_dice, f1_score(truth, found, labels=labels, average=each))
    np.testing.assert_allclose(scores.class_accuracy, recall_score(truth, found, labels=labels, average=each))
    assert scores.aacc == pytest.approx(accuracy_score(truth, found))
    assert scores.miou == pytest.approx(float(np.mean(jaccard_score(truth, found, labels=labels, average=each))))
    assert scores.fwiou == pytest.approx(jaccard_score(truth, found, labels=labels, average="weighted"))


def test_a_class_that_is_nowhere_does_not_count() -> None:
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    found = np.array([[0, 1, 1, 2]], np.uint8)
    scores = score_maps([confusion_of(truth, found, 4)], NAMES)
    assert scores.class_iou[:2].tolist() == [0.5, 0.5]
    assert np.isnan(scores.class_iou[2:]).all(), "what was found in an undecided pixel does not count"
    assert scores.miou == 0.5
    assert scores.macc == 0.75
    assert scores.to_dict()["classes"][3]["iou"] is None


def test_a_class_that_was_found_only_counts_for_iou() -> None:
    scores = score_maps([confusion_of(np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8), 2)], NAMES[:2])
    assert scores.class_iou.tolist() == [0.75, 0.0]
    assert scores.miou == 0.375
    assert scores.macc == 0.75


def test_one_matrix_over_the_whole_set_is_not_the_mean_over_images() -> None:
    small, large = np.zeros((1, 1), np.uint8), np.zeros((10, 10), np.uint8)
    confusions = [confusion_of(small, small + 1, 2), confusion_of(large, large, 2)]
    scores = score_maps(confusions, NAMES[:2])
    assert scores.class_iou[0] == pytest.approx(100 / 101)
    assert [(poor.image, poor.miou) for poor in scores.worst] == [(0, 0.0), (1, 1.0)]


def test_figures_table_and_text() -> None:
    scores = score_maps([confusion_of(t, f, 4) for t, f in maps(0)], NAMES)
    assert tuple(scores.figures()) == FIGURES
    rows = scores.table()
    assert [row["class"] for row in rows] == ["all", *NAMES]
    assert sum(row["share"] for row in rows[1:]) == pytest.approx(1)
    assert rows[0]["iou"] == scores.miou
    assert str(scores).splitlines()[0].startswith("miou 0.")
    empty = score_maps([], NAMES)
    assert all(math.isnan(value) for value in empty.figures().values())
    assert "–" in str(empty)


def test_maps_of_unlike_shape_or_of_unknown_labels() -> None:
    with pytest.raises(ValueError, match="of one shape"):
        confusion_of(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match=r"must lie in 0…1, got 2"):
        confusion_of(np.zeros((1, 1), np.uint8), np.full((1, 1), 2, np.uint8), 2)
