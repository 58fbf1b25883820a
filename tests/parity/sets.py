"""Comparison of rows that may stand in any order: candidates of nearly equal score change places under rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

FAR = 1e9
"""Of what is not a number, which no pairing can weigh."""


def matched(expected: np.ndarray, found: np.ndarray, scale: np.ndarray) -> tuple[float, np.ndarray]:
    """Rows (n, d) paired one to one so that they differ least in sum, each column in units of ``scale``: the largest
    difference within a pair, and each expected row's partner. ``inf`` and no partners where the counts differ."""
    if expected.shape != found.shape:
        return float("inf"), np.zeros(0, dtype=np.int64)
    if not len(expected):
        return 0.0, np.zeros(0, dtype=np.int64)
    apart = np.abs((expected[:, None].astype(np.float64) - found) / scale).max(-1)
    apart = np.nan_to_num(apart, nan=FAR, posinf=FAR)
    rows, columns = linear_sum_assignment(apart)
    return float(apart[rows, columns].max()), columns


def detections_matched(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """:func:`matched` for boxes (n, 4), scores (n,) and labels (n,): differences relative to the largest coordinate
    and the largest score; a pair of unlike labels is as far apart as can be."""
    boxes, scores, _labels = expected
    scale = np.array([*[np.abs(boxes).max(initial=1)] * 4, np.abs(scores).max(initial=1e-6), 1e-3])
    return matched(np.column_stack(expected), np.column_stack(found), scale)
