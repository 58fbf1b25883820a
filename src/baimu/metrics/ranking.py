"""How well scores put the right things first: precision over recall, and the area under the ROC curve."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Answers judged by their order alone; nan where none of them is right, ``auc`` also where none is wrong."""

    ap: float
    """Average precision: Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, without interpolation."""
    auc: float
    """The share of pairs of a right and a wrong one in which the right one scores higher; a tie is half a pair."""
    precision: np.ndarray
    """At each of the asked recalls, the highest precision at that recall or a higher one."""


def rank(scores: np.ndarray, right: np.ndarray, recalls: np.ndarray) -> Ranking:
    """Scores (N,) of things of which ``right`` (N,) bool are the right ones. Equal scores are one step, in no order."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, bool)  # of its score
    hits = np.cumsum(right[order])[last]
    taken = np.flatnonzero(last) + 1
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives:
        return Ranking(math.nan, math.nan, np.full(len(recalls), math.nan))
    recall, precision = hits / positives, hits / taken
    ap = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    missed = np.diff(taken - hits, prepend=0)  # wrong ones of each score
    auc = float(np.sum(missed * (hits - np.diff(hits, prepend=0) / 2))) / (positives * negatives or math.nan)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return Ranking(ap, auc, envelope[np.searchsorted(recall, recalls)])
