"""How well a search by embeddings puts the right images first: recall at k (CMC), mean average precision, mAP@R, mINP.

Q queries, G images of the gallery, N images, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

RANKS = 50
"""The cumulative match characteristic is told for so many ranks."""
NEIGHBOURS = 10
"""Of each query so many answers are remembered."""
CHUNK = 1 << 24
"""Similarities computed at a time."""


class Ranked(NamedTuple):
    """Of each of Q queries; nan, and nobody's rank, where the gallery has no right answer."""

    first: np.ndarray  # (Q,) int64 rank of the first right answer, from 0; −1 without one
    precision: np.ndarray  # (Q,) average precision: the mean of the precisions at the right answers
    precision_at_r: np.ndarray  # (Q,) MAP@R's: over the first R answers, R the number of right ones (2003.08505 §2.3)
    r_precision: np.ndarray  # (Q,) share of right ones among the first R
    inverse_penalty: np.ndarray  # (Q,) INP: right answers over the rank of the last (2001.04193 Eq. 10)


def rank_answers(similarity: np.ndarray, right: np.ndarray, ignored: np.ndarray) -> tuple[Ranked, np.ndarray]:
    """Queries over the gallery (Q, G): ``right`` and ``ignored`` are bool; what is ignored has no rank.

    Also the order of the answers (Q, G), ignored ones last. Of equal ones the first in the gallery comes first.
    """
    order = np.argsort(np.where(ignored, np.inf, -similarity.astype(np.float64)), axis=1, kind="stable")
    hits = np.take_along_axis(right & ~ignored, order, 1)
    count = hits.sum(1)
    place = np.arange(1, hits.shape[1] + 1)
    precision = np.cumsum(hits, 1) / place * hits
    among = place <= count[:, None]
    some = np.where(count > 0, count, np.nan)
    last = hits.shape[1] - np.argmax(hits[:, ::-1], 1) if hits.shape[1] else count
    ranked = Ranked(
        first=np.where(count > 0, np.argmax(hits, 1) if hits.shape[1] else 0, -1),
        precision=precision.sum(1) / some,
        precision_at_r=(precision * among).sum(1) / some,
        r_precision=(hits & among).sum(1) / some,
        inverse_penalty=some / last,
    )
    return ranked, order


@dataclass(frozen=True, eq=False)
class Retrieval:
    """A search scored. Shares in 0…1, nan without a query that can be answered."""

    queries: np.ndarray  # (Q,) positions of the images that were looked for
    answerable: np.ndarray  # (Q,) bool: someone of the query's identity is in the gallery (by another camera)
    ranked: Ranked
    neighbours: np.ndarray  # (Q, up to 10) positions of the nearest images, −1 where there are fewer
    similarity: np.ndarray  # of the neighbours

    def recall(self, k: int) -> float:
        """Recall@k, which re-identification calls rank-k: the share of queries with a right one among the first k."""
        return _mean((self.ranked.first < k)[self.answerable])

    @property
    def cmc(self) -> np.ndarray:
        """(50,) recall at 1, 2, …: the cumulative match characteristic."""
        return np.array([self.recall(k) for k in range(1, RANKS + 1)])

    @property
    def mean_ap(self) -> float:
        return _mean(self.ranked.precision[self.answerable])

    @property
    def mean_ap_at_r(self) -> float:
        return _mean(self.ranked.precision_at_r[self.answerable])

    @property
    def r_precision(self) -> float:
        return _mean(self.ranked.r_precision[self.answerable])

    @property
    def mean_inp(self) -> float:
        return _mean(self.ranked.inverse_penalty[self.answerable])


def retrieve(
    vectors: np.ndarray,
    ids: np.ndarray,
    *,
    cameras: np.ndarray | None = None,
    query: np.ndarray | None = None,
    gallery: np.ndarray | None = None,
) -> Retrieval:
    """Search each ``query`` (N, bool; all) in the ``gallery`` (N, bool; all) by the cosine of ``vectors`` (N, D), whose
    length is 1.

    Not among the answers are the query itself, images of its identity by its own ``camera`` (N; −1 unknown), and images
    of nobody (``ids`` −1), which look for nothing either.
    """
    count = len(vectors)
    cameras = np.full(count, -1, np.int64) if cameras is None else cameras
    looked_for = np.flatnonzero((ids >= 0) if query is None else query & (ids >= 0))
    found_in = np.flatnonzero((ids >= 0) if gallery is None else gallery & (ids >= 0))
    answers = torch.from_numpy(np.ascontiguousarray(vectors[found_in], np.float32))
    parts: list[tuple[Ranked, np.ndarray, np.ndarray]] = []
    step = max(1, CHUNK // max(1, len(found_in)))
    for start in range(0, len(looked_for), step):
        own = looked_for[start : start + step]
        similarity = (torch.from_numpy(np.ascontiguousarray(vectors[own], np.float32)) @ answers.T).numpy()
        right = ids[own, None] == ids[found_in]
        seen = (cameras[own, None] == cameras[found_in]) & (cameras[found_in] >= 0)
        ignored = (own[:, None] == found_in) | (right & seen)
        ranked, order = rank_answers(similarity, right, ignored)
        nearest = order[:, :NEIGHBOURS]
        there = ~np.take_along_axis(ignored, nearest, 1)
        cosine = np.take_along_axis(similarity, nearest, 1)
        parts.append((ranked, np.where(there, found_in[nearest], -1), np.where(there, cosine, np.nan)))
    ranked = Ranked(*(np.concatenate([p[0][i] for p in parts] or [np.zeros(0)]) for i in range(len(Ranked._fields))))
    near, cosine = (np.concatenate([p[i] for p in parts] or [np.zeros((0, 0))]) for i in (1, 2))
    return Retrieval(looked_for, ranked.first >= 0, ranked, near.astype(np.int64), cosine)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
