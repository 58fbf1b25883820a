"""Figures of classification against scikit-learn and slow loops, with ties, few classes, and classes without images."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics as peer

from baimu.metrics.classification import MISTAKES, Mistake, figure_names, score
from baimu.metrics.scores import RECALLS


def names(count: int) -> list[str]:
    return [f"c{k}" for k in range(count)]


def one_hot(labels: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[labels]


def softmax(count: int, classes: int, seed: int, steps: int | None = None) -> np.ndarray:
    """Random probabilities; with ``steps`` so coarse that there are many ties."""
    rng = np.random.default_rng(seed)
    values = rng.random((count, classes)) ** 2
    if steps:
        values = np.round(values * steps) / steps + 1e-3
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize(("classes", "images"), [(2, 40), (3, 200), (7, 300), (20, 60)])
def test_one_label_equals_scikit_learn(classes, images):
    p = softmax(images, classes, seed=classes)
    truth = np.random.default_rng(1).integers(0, max(2, classes - 2), images)  # the last classes have no images
    found = score(p, one_hot(truth, classes), names(classes))
    guess = p.argmax(1)
    assert found.top1 == pytest.approx(peer.accuracy_score(truth, guess))
    np.testing.assert_array_equal(found.confusion, peer.confusion_matrix(truth, guess, labels=range(classes)))
    theirs = peer.precision_recall_fscore_support(truth, guess, labels=range(classes), zero_division=np.nan)
    for ours, their in zip((found.class_precision, found.class_recall, found.class_f1), theirs, strict=False):
        np.testing.assert_allclose(ours, their)
    seen = np.unique(truth)
    macro = peer.precision_recall_fscore_support(truth, guess, labels=seen, average="macro", zero_division=0)
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == pytest.approx(macro[:3])
    assert found.macro_recall == pytest.approx(peer.balanced_accuracy_score(truth, guess))
    if classes > 5:
        assert found.top5 == pytest.approx(peer.top_k_accuracy_score(truth, p, k=5, labels=range(classes)))
    else:
        assert math.isnan(found.top5)


def test_of_equal_probabilities_the_earlier_class_comes_first():
    p = softmax(300, 8, seed=0, steps=3)
    truth = np.random.default_rng(2).integers(0, 8, 300)
    found = score(p, one_hot(truth, 8), names(8))
    ranks = [sorted(range(8), key=lambda k: (-row[k], k)).index(t) for row, t in zip(p, truth, strict=True)]
    assert found.top1 == pytest.approx(np.mean([r < 1 for r in ranks]))
    assert found.top5 == pytest.approx(np.mean([r < 5 for r in ranks]))
    same = score(np.full((4, 8), 1 / 8), one_hot(np.array([0, 4, 5, 0]), 8), names(8))
    assert (same.top1, same.top5) == (0.5, 0.75)


def test_one_class():
    found = score(np.ones((3, 1)), np.ones((3, 1)), ["cat"])
    assert (found.top1, found.macro_f1, found.ece) == (1, 1, 0)
    assert math.isnan(found.top5)
    assert found.confusion.tolist() == [[3]]


def test_calibration_equals_a_loop_over_bins():
    p = softmax(500, 4, seed=5)
    p[:20] = [0.2, 0.8, 0, 0]  # on an edge of the bins
    p[20:30] = [1, 0, 0, 0]
    truth = np.random.default_rng(3).integers(0, 4, 500)
    found = score(p, one_hot(truth, 4), names(4))
    gaps = []
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = [i for i in range(500) if low < p[i].max() <= high]
        right = np.mean([p[i].argmax() == truth[i] for i in inside]) if inside else 0
        sure = np.mean([float(p[i].max()) for i in inside]) if inside else 0
        gaps.append(len(inside) / 500 * abs(right - sure))
    assert found.ece == pytest.approx(sum(gaps))
    assert found.reliability.counts.sum() == 500
    assert np.isnan(found.reliability.accuracy[0]), "no best class of four is below 1/15"


def test_the_surest_mistakes_come_first():
    p = softmax(200, 5, seed=6)
    truth = np.random.default_rng(4).integers(0, 5, 200)
    shares = one_hot(truth, 5)
    shares[7] = -1
    found = score(p, shares, names(5)).mistakes
    wrong = [i for i in range(200) if p[i].argmax() != truth[i] and i != 7]
    wrong.sort(key=lambda i: -p[i].max())
    assert [m.image for m in found] == wrong[:MISTAKES]
    assert found[0] == Mistake(wrong[0], truth[wrong[0]], p[wrong[0]].argmax(), pytest.approx(p[wrong[0]].max()))


def many(images: int, classes: int, seed: int, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random((images, classes)).astype(np.float32)
    shares = (rng.random((images, classes)) < 0.3 + 0.3 * p).astype(np.float32)
    return (np.round(p * steps) / steps if steps else p).astype(np.float32), shares


@pytest.mark.parametrize("steps", [None, 4], ids=["distinct", "ties"])
@pytest.mark.parametrize("classes", [1, 2, 6])
def test_several_labels_equal_scikit_learn(classes, steps):
    p, shares = many(150, classes, seed=classes, steps=steps)
    found = score(p, shares, names(classes), multi_label=True)
    ap = [peer.average_precision_score(shares[:, k], p[:, k]) for k in range(classes)]
    auc = [peer.roc_auc_score(shares[:, k], p[:, k]) for k in range(classes)]
    np.testing.assert_allclose(found.class_ap, ap)
    np.testing.assert_allclose(found.class_auc, auc)
    assert found.mean_ap == pytest.approx(np.mean(ap))
    assert found.macro_auc == pytest.approx(np.mean(auc))
    theirs = [
        peer.precision_recall_fscore_support(shares[:, k], p[:, k] >= 0.5, average="binary") for k in range(classes)
    ]
    ours = [found.class_precision, found.class_recall, found.class_f1]
    np.testing.assert_allclose(np.transpose(ours), [row[:3] for row in theirs])
    assert found.confusion is None


def test_precision_at_recalls_equals_a_loop():
    p, shares = many(80, 1, seed=3, steps=10)
    truth = shares[:, 0] > 0
    points = []
    for threshold in np.unique(p):
        taken = p[:, 0] >= threshold
        points.append(((taken & truth).sum() / truth.sum(), (taken & truth).sum() / taken.sum()))
    expected = [max(precision for recall, precision in points if recall >= asked) for asked in RECALLS]
    np.testing.assert_allclose(score(p, shares, ["a"], multi_label=True).precision[0], expected)


def test_what_is_not_known_does_not_count():
    """Each class's figures are those of the images where it is known, an image of which nothing is known is none."""
    p, shares = many(120, 3, seed=9)
    hidden = np.random.default_rng(0).random(shares.shape) < 0.4
    hidden[5] = True
    shares[hidden] = -1
    found = score(p, shares, names(3), multi_label=True)
    assert found.images == (~hidden).any(1).sum()
    for k in range(3):
        known = ~hidden[:, k]
        alone = score(p[known, k : k + 1], shares[known, k : k + 1], ["a"], multi_label=True)
        for name in ("ap", "auc", "precision", "recall", "f1", "images", "found"):
            assert getattr(found, f"class_{name}")[k] == getattr(alone, f"class_{name}")[0]
    assert found.reliability.counts.sum() == (~hidden).sum()
    assert not any(hidden[m.image, max(m.truth, m.found)] for m in found.mistakes)


def test_mistakes_of_several_labels_name_what_was_missed_or_given():
    p = np.array([[0.9, 0.4, 0.1], [0.2, 0.1, 0.3], [0.6, 0.7, 0.4]])
    shares = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]])
    found = score(p, shares, names(3), multi_label=True).mistakes
    assert found == (Mistake(0, -1, 0, 0.9), Mistake(1, 0, -1, 0.2))


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_undefined_is_nan_and_never_raises_the_mean(multi_label):
    """A class without images is in no mean; one that is never given has no precision and counts as 0."""
    shares = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    p = np.array([[0.9, 0.1, 0.0]] * 4)
    found = score(p, shares, names(3), multi_label)
    np.testing.assert_array_equal(found.class_precision, [0.5, math.nan, math.nan])
    np.testing.assert_array_equal(found.class_recall, [1, 0, math.nan])
    np.testing.assert_array_equal(found.class_f1, [2 / 3, 0, math.nan])
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == (0.25, 0.5, pytest.approx(1 / 3))
    if multi_label:
        np.testing.assert_array_equal(found.class_auc, [0.5, 0.5, math.nan])
        np.testing.assert_array_equal(found.class_ap, [0.5, 0.5, math.nan])
        assert found.mean_ap == 0.5


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("known", [True, False], ids=["no images", "nothing known"])
def test_nothing_gives_nan(multi_label, known):
    shares = np.zeros((0, 3)) if known else np.full((2, 3), -1.0)
    found = score(np.full(shares.shape, 0.5), shares, names(3), multi_label)
    assert found.images == 0
    assert all(map(math.isnan, found.figures().values()))
    assert found.mistakes == ()


@pytest.mark.parametrize("multi_label", [False, True])
def test_figures_table_and_document_say_the_same(multi_label):
    p, shares = many(50, 7, seed=2)
    p, shares = (p, shares) if multi_label else (softmax(50, 7, seed=2), one_hot(np.arange(50) % 6, 7))
    found = score(p, shares, names(7), multi_label)
    assert tuple(found.figures()) == figure_names(multi_label=multi_label)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["macro_f1"] == found.macro_f1
    assert document["classes"][2]["recall"] == found.class_recall[2]
    assert document["classes"][6]["f1"] == (
        None if not multi_label and found.class_found[6] == 0 else found.class_f1[6]
    )
    assert [row["class"] for row in found.table()] == ["all", *names(7)]
    lines = str(found).splitlines()
    assert lines[0].startswith("mean_ap 0." if multi_label else "top1 0.")
    assert len(lines) == 2 + 8
    assert len({len(line) for line in lines[1:]}) == 1, "columns stand under another"


@pytest.mark.parametrize(
    ("p", "shares", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), r"\(N, 2\); got \(2, 3\)"),
        (np.array([[0.5, 0.5], [math.nan, 1]]), np.eye(2), "image 1"),
        (np.array([[0.5, 0.5], [-3.0, 4.0]]), np.eye(2), "image 1"),
        (np.full((2, 2), 0.5), np.array([[1, 0], [0, 0]]), "image 1 has no label"),
    ],
)
def test_what_cannot_be_scored_is_named(p, shares, message):
    with pytest.raises(ValueError, match=message):
        score(p, shares, ["a", "b"])
