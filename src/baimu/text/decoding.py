"""Texts from what a network says of the columns of a line: the best column by column, or a prefix beam search.

B lines, T columns, K characters and the blank, which is the last. Characters are their labels 0…K−1 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

Labels = tuple[int, ...]


class Found(NamedTuple):
    """One text that a line may hold."""

    labels: Labels
    score: float  # log p(labels | line) of the alignments that were followed, plus what the grammar says


class Grammar(Protocol):
    """What texts may be, character by character: a lexicon, a language model, or several of them together."""

    start: Hashable

    def step(self, state: Any, label: int) -> tuple[Any, float] | None:
        """The state after one more character and what that adds to the score; None where no text goes on so."""
        ...

    def end(self, state: Any) -> float | None:
        """What is added to the score of a text that ends here; None where none does."""
        ...


def greedy(log_p: Float[Tensor, "b t k1"], steps: Int[Tensor, " b"]) -> list[tuple[Labels, list[float]]]:
    """The likeliest class of each column, repetitions taken together and blanks left out (best path decoding): of each
    line its characters and how sure each is, 0…1, the greatest probability among its columns."""
    values, found = (x.cpu().numpy() for x in log_p.max(2))
    blank, rows = log_p.shape[2] - 1, []
    for best, path, length in zip(values, found, steps.tolist(), strict=True):
        labels: list[int] = []
        sure: list[float] = []
        before = blank
        for label, value in zip(path[:length].tolist(), best[:length].tolist(), strict=True):
            if label != blank and label == before:
                sure[-1] = max(sure[-1], math.exp(value))
            elif label != blank:
                labels.append(label)
                sure.append(math.exp(value))
            before = label
        rows.append((tuple(labels), sure))
    return rows


def beam_search(
    log_p: np.ndarray, *, width: int = 10, grammar: Grammar | None = None, least: float = 1e-4
) -> list[Found]:
    """At most ``width`` texts of one line (T, K + 1), the best first (Graves & Jaitly, ICML 2014, algorithm 1).

    Each text is followed with two probabilities, of its alignments that end with a blank and of those that do not,
    so that all alignments of one text are added, where :func:`greedy` sees one. A character of less probability than
    ``least`` in a column does not begin there; with 0, ``width`` large enough and no grammar, scores are exact.
    With ``grammar`` a text that cannot end where the line does is left out; if none can, there is none.
    """
    beams: dict[Labels, _Beam] = {(): _Beam(0.0, -math.inf, 0.0, grammar and grammar.start)}
    floor = math.log(least) if least > 0 else -math.inf
    for column in log_p.astype(np.float64):
        likely = [(label, float(column[label])) for label in np.flatnonzero(column[:-1] >= floor).tolist()]
        following: dict[Labels, _Beam] = {}
        for labels, beam in beams.items():
            _extend(following, labels, beam, likely, float(column[-1]), grammar)
        best = sorted(following.items(), key=lambda item: -item[1].score)[:width]
        beams = dict(best)
    return sorted(_ended(beams, grammar), key=lambda found: -found.score)


class _Beam:
    """One text so far."""

    __slots__ = ("blank", "character", "said", "state")

    def __init__(self, blank: float, character: float, said: float, state: Any) -> None:
        self.blank, self.character = blank, character  # log p of alignments by what they end with
        self.said, self.state = said, state  # by the grammar

    @property
    def score(self) -> float:
        return float(np.logaddexp(self.blank, self.character)) + self.said


def _extend(
    following: dict[Labels, _Beam],
    labels: Labels,
    beam: _Beam,
    likely: Sequence[tuple[int, float]],
    blank: float,
    grammar: Grammar | None,
) -> None:
    """Add to ``following`` what becomes of a text in one more column."""
    total = _add(beam.blank, beam.character)
    same = following.setdefault(labels, _Beam(-math.inf, -math.inf, beam.said, beam.state))
    same.blank = _add(same.blank, total + blank)
    last = labels[-1] if labels else -1
    for label, value in likely:
        before = total
        if label == last:  # once more the same column's character, or after a blank a second one
            same.character = _add(same.character, beam.character + value)
            before = beam.blank
        longer = (*labels, label)
        if before == -math.inf:
            continue
        known = following.get(longer)
        if known is None:
            step = (beam.state, 0.0) if grammar is None else grammar.step(beam.state, label)
            if step is None:
                continue
            known = following[longer] = _Beam(-math.inf, -math.inf, beam.said + step[1], step[0])
        known.character = _add(known.character, before + value)


def _ended(beams: dict[Labels, _Beam], grammar: Grammar | None) -> Iterator[Found]:
    for labels, beam in beams.items():
        last = 0.0 if grammar is None else grammar.end(beam.state)
        if last is not None and beam.score > -math.inf:
            yield Found(labels, beam.score + last)


def _add(a: float, b: float) -> float:
    """``log(exp a + exp b)``."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def confidences(log_p: np.ndarray, labels: Sequence[int]) -> list[float]:
    """How sure each character of a text is, 0…1: the greatest probability among its columns in the likeliest alignment
    (Viterbi) of ``labels`` with the line (T, K + 1). Where there is none, zeros."""
    count, blank = len(labels), log_p.shape[1] - 1
    if not count:
        return []
    extended = np.full(2 * count + 1, blank)
    extended[1::2] = labels
    may_skip = np.zeros(len(extended), bool)
    may_skip[3::2] = extended[3::2] != extended[1:-2:2]
    emitted = log_p[:, extended].astype(np.float64)
    best = np.full(len(extended), -np.inf)
    best[:2] = emitted[0, :2]
    came = np.zeros((len(log_p), len(extended)), np.int64)
    for t in range(1, len(log_p)):
        one, two = np.full_like(best, -np.inf), np.full_like(best, -np.inf)
        one[1:], two[2:] = best[:-1], best[:-2]
        two[~may_skip] = -np.inf
        choices = np.stack([best, one, two])
        came[t] = choices.argmax(0)
        best = choices.max(0) + emitted[t]
    place = len(extended) - 1 if best[-1] >= best[-2] else len(extended) - 2
    sure = [0.0] * count
    if best[place] == -np.inf:
        return sure
    for t in range(len(log_p) - 1, -1, -1):
        if place % 2:
            sure[place // 2] = max(sure[place // 2], math.exp(emitted[t, place]))
        place -= int(came[t, place])
    return sure
