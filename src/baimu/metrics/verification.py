"""Are two images of one identity? Accuracy over ten folds as on LFW, true accepts at a rate of false ones, ROC.

P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from baimu.datasets.source import Pairs

THRESHOLDS = np.arange(0, 4, 0.01)
"""Squared Euclidean distances of vectors of length 1 that LFW's protocol chooses from, as facenet's evaluation has
them."""
PAIRS, FOLDS = 6000, 10
"""Drawn where the data name none: as many as LFW has."""


@dataclass(frozen=True, eq=False)
class Verification:
    """Cosines (P,) of pairs that are of the ``same`` (P,) identity or not, in parts ``fold`` (P,)."""

    similarity: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    @cached_property
    def by_fold(self) -> np.ndarray:
        """(F,) accuracy on each fold, at the threshold that is best on the others (the lowest of equal ones)."""
        distance = 2 - 2 * self.similarity.astype(np.float64)
        right = (distance < THRESHOLDS[:, None]) == self.same  # (T, P)
        folds = np.unique(self.fold)
        if len(folds) < 2:
            return np.zeros(0)
        sums = np.stack([right[:, self.fold == f].sum(1) for f in folds], 1)
        sizes = np.array([(self.fold == f).sum() for f in folds])
        others = (sums.sum(1, keepdims=True) - sums) / (len(self.fold) - sizes)
        return sums[others.argmax(0), np.arange(len(folds))] / sizes

    @property
    def accuracy(self) -> float:
        """The mean over the folds; nan of fewer than two."""
        return float(self.by_fold.mean()) if len(self.by_fold) else float("nan")

    @property
    def deviation(self) -> float:
        """Of the accuracy over the folds."""
        return float(self.by_fold.std()) if len(self.by_fold) else float("nan")

    @cached_property
    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """False accept rate and true accept rate (T,) from the highest threshold to the lowest, from (0, 0) to (1, 1);
        equal cosines are one step."""
        order = np.argsort(-self.similarity, kind="stable")
        ranked, same = self.similarity[order], self.same[order]
        last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, bool)
        true, false = np.cumsum(same)[last], np.cumsum(~same)[last]
        begin = 0.0 if self.same.any() and not self.same.all() else np.nan
        with np.errstate(invalid="ignore"):
            return np.append(begin, false / (~self.same).sum()), np.append(begin, true / self.same.sum())

    def tar_at_far(self, rate: float) -> float:
        """The largest true accept rate whose false accept rate is at most ``rate``; nan unless there are both kinds of
        pairs. With fewer than 1/``rate`` pairs of two identities not one of them may be accepted."""
        false, true = self.roc
        return (
            float(true[false <= rate].max()) if np.isfinite(false).all() and np.isfinite(true).all() else float("nan")
        )

    @property
    def auc(self) -> float:
        """The area under the ROC curve."""
        false, true = self.roc
        return float(np.trapezoid(true, false))

    @property
    def equal_error(self) -> float:
        """Where as many are wrongly accepted as wrongly refused, interpolated between two thresholds."""
        false, true = self.roc
        gap = false - (1 - true)
        if not np.isfinite(gap).all():
            return float("nan")
        above = int(np.argmax(gap >= 0))
        before = max(above - 1, 0)
        step = gap[above] - gap[before]
        share = 0.0 if step == 0 else -gap[before] / step
        return float(false[before] + share * (false[above] - false[before]))


def verify(vectors: np.ndarray, pairs: Pairs) -> Verification:
    """The ``pairs`` of embeddings (N, D) of length 1."""
    similarity = np.einsum("pd,pd->p", vectors[pairs.first], vectors[pairs.second], dtype=np.float32)
    return Verification(similarity.clip(-1, 1), pairs.same, pairs.fold)


def draw_pairs(ids: np.ndarray, *, count: int = PAIRS, folds: int = FOLDS, seed: int = 0) -> Pairs:
    """``count`` pairs of images with identities ``ids`` (N,; −1 are in none), half of one identity, each identity and
    pair as likely; a function of its arguments. Empty where no identity has two images, or there is but one."""
    rng = np.random.Generator(np.random.PCG64(seed))
    known = np.flatnonzero(ids >= 0)
    owners, sizes = np.unique(ids[known], return_counts=True)
    if len(owners) < 2 or sizes.max() < 2:
        return Pairs(*(np.zeros(0, kind) for kind in (np.int64, np.int64, bool, np.int64)))
    ordered = known[np.argsort(ids[known], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    half = count // 2
    twice = rng.choice(np.flatnonzero(sizes >= 2), half)
    one = rng.integers(sizes[twice])
    two = (one + rng.integers(1, sizes[twice])) % sizes[twice]  # another image of the same
    left = rng.integers(len(owners), size=half)
    right = (left + rng.integers(1, len(owners), size=half)) % len(owners)
    first = np.concatenate([starts[twice] + one, starts[left] + rng.integers(sizes[left])])
    second = np.concatenate([starts[twice] + two, starts[right] + rng.integers(sizes[right])])
    same = np.arange(2 * half) < half
    return Pairs(ordered[first], ordered[second], same, np.arange(2 * half) % folds)
