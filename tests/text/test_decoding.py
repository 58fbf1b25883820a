"""Decoding against exhaustive enumeration of all paths, with and without a grammar."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from baimu.losses.ctc import ctc_loss
from baimu.text.decoding import Labels, beam_search, confidences, greedy
from baimu.text.grammar import LanguageModel, Lexicon, Together

CLASSES = ("a", "b", " ")


def columns(seed: int, steps: int = 5, classes: int = 3) -> np.ndarray:
    return torch.randn(steps, classes + 1, generator=torch.Generator().manual_seed(seed)).log_softmax(1).numpy()


def every_text(log_p: np.ndarray) -> dict[Labels, float]:
    """The probability of every text, of all its paths."""
    blank, found = log_p.shape[1] - 1, {}
    for path in itertools.product(range(blank + 1), repeat=len(log_p)):
        text = tuple(label for label, _ in itertools.groupby(path) if label != blank)
        p = math.exp(sum(float(log_p[t, label]) for t, label in enumerate(path)))
        found[text] = found.get(text, 0.0) + p
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exact(seed: int) -> None:
    log_p = columns(seed)
    expected = every_text(log_p)
    found = beam_search(log_p, width=10_000, least=0)
    assert {one.labels for one in found} == expected.keys()
    for one in found:
        assert math.exp(one.score) == pytest.approx(expected[one.labels], rel=1e-6)
    assert sum(math.exp(one.score) for one in found) == pytest.approx(1)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_scores_are_those_of_the_loss() -> None:
    log_p = columns(7)
    for one in beam_search(log_p, width=10_000, least=0)[:20]:
        labels = torch.tensor([[*one.labels, -1]])
        assert -ctc_loss(torch.from_numpy(log_p)[None], labels, torch.tensor([5])).item() == pytest.approx(
            one.score, rel=1e-5
        )


def test_all_alignments_together_may_win() -> None:
    """p(blank) 0.6, p(a) 0.4 in both columns: the best path is empty (0.36), the best text is a (0.64)."""
    log_p = np.log(np.array([[0.4, 0.6], [0.4, 0.6]]))
    [(labels, sure)] = greedy(torch.from_numpy(log_p)[None], torch.tensor([2]))
    assert (labels, sure) == ((), [])
    best = beam_search(log_p, width=2)[0]
    assert best.labels == (0,)
    assert math.exp(best.score) == pytest.approx(0.64)


def test_greedy_takes_repetitions_together_and_leaves_blanks_out() -> None:
    path = [0, 0, 3, 0, 1, 1, 3, 3, 2]
    p = torch.full((2, 9, 4), 0.1)
    for t, label in enumerate(path):
        p[:, t, label] = 0.7 + t / 100
    read = greedy(p.log(), torch.tensor([9, 5]))
    assert [labels for labels, _ in read] == [(0, 0, 1, 2), (0, 0, 1)]
    assert read[0][1] == pytest.approx([0.71, 0.73, 0.75, 0.78])


@pytest.mark.parametrize("seed", range(4))
def test_a_lexicon_leaves_the_best_of_its_texts(seed: int) -> None:
    log_p = columns(seed, steps=6)
    texts = {(0, 1), (1, 1, 0), (1,)}
    words = ["".join(CLASSES[i] for i in text) for text in texts]
    found = beam_search(log_p, width=10_000, grammar=Lexicon(words, CLASSES), least=0)
    allowed = {  # words of the list with single spaces between
        text: p
        for text, p in every_text(log_p).items()
        if (spoken := "".join(CLASSES[i] for i in text)) and all(word in words for word in spoken.split(" "))
    }
    assert {one.labels for one in found} == allowed.keys()
    assert found[0].labels == max(allowed, key=allowed.__getitem__)
    assert math.exp(found[0].score) == pytest.approx(max(allowed.values()), rel=1e-6)


def test_a_language_model_adds_what_it_says() -> None:
    log_p = columns(3)
    model = LanguageModel(["ab", "abab", "ba b"], CLASSES, order=3, weight=0.7, bonus=0.2)
    expected = {}
    for text, p in every_text(log_p).items():
        said = sum(math.log(model.probability(text[:i], label)) for i, label in enumerate((*text, -1)))
        expected[text] = math.log(p) + 0.7 * said + 0.2 * len(text)
    found = beam_search(log_p, width=10_000, grammar=model, least=0)
    assert {one.labels for one in found} == expected.keys()
    for one in found:
        assert one.score == pytest.approx(expected[one.labels], rel=1e-6)
    assert found[0].labels == max(expected, key=expected.__getitem__)


def test_grammars_work_together() -> None:
    log_p = columns(5)
    lexicon, model = Lexicon(["ab", "ba", "a"], CLASSES), LanguageModel(["ab"], CLASSES)
    alone = {one.labels for one in beam_search(log_p, width=10_000, grammar=lexicon, least=0)}
    scores = {one.labels: one.score for one in beam_search(log_p, width=10_000, grammar=model, least=0)}
    for one in beam_search(log_p, width=10_000, grammar=Together(lexicon, model), least=0):
        assert one.labels in alone
        assert one.score == pytest.approx(scores[one.labels])


def test_a_word_that_cannot_be_written_is_not_read() -> None:
    assert beam_search(columns(0, steps=2), grammar=Lexicon(["aaaa"], CLASSES)) == []


@pytest.mark.parametrize("seed", range(6))
def test_confidences_are_of_the_likeliest_alignment(seed: int) -> None:
    log_p = columns(seed)
    for labels in [(0,), (0, 0), (1, 2), (2, 1, 2)]:
        paths = [
            path
            for path in itertools.product(range(4), repeat=5)
            if tuple(label for label, _ in itertools.groupby(path) if label != 3) == labels
        ]
        best = max(paths, key=lambda path: sum(log_p[t, label] for t, label in enumerate(path)))
        runs = [list(run) for label, run in itertools.groupby(enumerate(best), key=lambda x: x[1]) if label != 3]
        expected = [max(math.exp(log_p[t, label]) for t, label in run) for run in runs]
        assert confidences(log_p, labels) == pytest.approx(expected, rel=1e-6)


def test_confidences_without_an_alignment_are_zero() -> None:
    assert confidences(columns(0, steps=2), (0, 0)) == [0.0, 0.0]
    assert confidences(columns(0), ()) == []
