"""k-reciprocal re-ranking: what the neighbourhoods within the gallery say about an order of answers.

Q queries, G images of the gallery, N = Q + G, k neighbours: a handful, so that all but the distances is kept sparse.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse


def k_reciprocal(
    query: np.ndarray, gallery: np.ndarray, *, k1: int = 20, k2: int = 6, share: float = 0.3, power: float = 1.0
) -> np.ndarray:
    """Distances (Q, G) by k-reciprocal encoding (Zhong, Zheng, Cao, Li 2017, arXiv 1701.08398 Eq. 3 to 12).

    ``query`` (Q, D) and ``gallery`` (G, D) are features; their squared Euclidean distances, to the ``power`` (fast-reid
    squares them once more: 2), are divided by the largest of each column. Two images are alike as far as they share
    their k-reciprocal neighbours (Jaccard); ``share`` of the result is the distance itself, 1 leaves nothing else.
    Memory grows with N², the time with N k². Raises ``ValueError`` unless k1 >= k2 >= 1.
    """
    if not k1 >= k2 >= 1:
        raise ValueError(f"k1 and k2 must be k1 >= k2 >= 1, got {k1} and {k2}")
    features = np.concatenate([query, gallery]).astype(np.float64)
    square = (features**2).sum(1)
    distance = (square[:, None] + square - 2 * features @ features.T).clip(0) ** power
    np.fill_diagonal(distance, 0)
    distance = (distance / distance.max(0).clip(1e-12)).T
    order = np.argsort(distance, axis=1, kind="stable")
    encoded = _expanded(_encoded(distance, order, k1), order, k2)
    return share * distance[: len(query), len(query) :] + (1 - share) * _jaccard(encoded, len(query))


def _neighbours(order: np.ndarray, k: int) -> sparse.csr_array:
    """(N, N): 1 where the column is among the k nearest of the row, besides the row itself."""
    count, near = len(order), order[:, : k + 1]
    return sparse.csr_array((np.ones(near.size), near.ravel(), np.arange(count + 1) * near.shape[1]), (count, count))


def _encoded(distance: np.ndarray, order: np.ndarray, k1: int) -> sparse.csr_array:
    """(N, N): of each image its k-reciprocal neighbours (Eq. 3), with those of theirs that mostly agree (Eq. 5),
    weighed by nearness (Eq. 7), in all 1."""
    near, half = _neighbours(order, k1), _neighbours(order, round(k1 / 2))
    near, half = near.multiply(near.T).tocsr(), half.multiply(half.T).tocsr()
    common = near.multiply(near @ half.T).tocoo()  # how many of the neighbour's own half are mine too
    size = half.sum(1)
    agrees = common.data > 2 / 3 * size[common.col]
    trusted = sparse.csr_array((np.ones(agrees.sum()), (common.row[agrees], common.col[agrees])), near.shape)
    members = (near + trusted @ half).tocoo()
    weights = np.exp(-distance[members.row, members.col])
    total = np.bincount(members.row, weights, minlength=len(order))
    return sparse.csr_array((weights / total[members.row], (members.row, members.col)), near.shape)


def _expanded(encoded: sparse.csr_array, order: np.ndarray, k2: int) -> sparse.csr_array:
    """Each row as the mean of those of its k2 nearest, itself among them (Eq. 11)."""
    if k2 == 1:
        return encoded
    near = order[:, :k2]
    share = np.full(near.size, 1 / near.shape[1])
    count = len(order)
    return sparse.csr_array((share, near.ravel(), np.arange(count + 1) * near.shape[1]), (count, count)) @ encoded


def _jaccard(encoded: sparse.csr_array, queries: int) -> np.ndarray:
    """(Q, G): 1 − Σ min / Σ max of the rows, each of which sums to 1 (Eq. 10)."""
    columns = encoded[queries:].tocsc()
    apart = np.empty((queries, columns.shape[0]))
    for i in range(queries):
        row = encoded[[i]].tocoo()
        part = columns[:, row.col]  # what others have where this query has something
        least = np.minimum(part.data, np.repeat(row.data, np.diff(part.indptr)))
        shared = np.bincount(part.indices, least, minlength=part.shape[0])
        apart[i] = 1 - shared / (2 - shared)
    return apart
