"""Whether probabilities mean what they say (Guo, Pleiss, Sun, Weinberger 2017, 1706.04599)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Reliability(NamedTuple):
    """What was promised and what came true, in M bins of equal width over 0…1, each with its upper edge."""

    counts: np.ndarray  # (M,) int64
    confidence: np.ndarray  # (M,) mean probability, nan in an empty bin
    accuracy: np.ndarray  # (M,) share that came true, nan in an empty bin

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap between the two, weighted by the counts (Eq. 3); nan of nothing."""
        total = self.counts.sum()
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.counts) / total) if total else math.nan


def reliability(probabilities: np.ndarray, true: np.ndarray, bins: int = 15) -> Reliability:
    """Of probabilities (N,) in 0…1 and whether each came ``true`` (N,)."""
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, probabilities)
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts, counts, math.nan)
    confidence = np.bincount(place, probabilities, minlength=bins) / filled
    return Reliability(counts, confidence, np.bincount(place, true, minlength=bins) / filled)
