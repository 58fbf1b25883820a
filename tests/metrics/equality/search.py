"""CMC, mAP and mINP of a search against scikit-learn's average precision and loops over the ranks in fractions.

scikit-learn takes equal scores as one step and so knows no order among them; it is given the ranks, in which equal
distances keep the order of the gallery, as Market-1501's evaluations in Python do with a stable sort.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from baimu.metrics.retrieval import RANKS, rank_answers, retrieve
from tests.metrics.equality.case import Case, Subject

DIMENSIONS = 16  # of ±1/4 each: length 1, and float32 has every product exactly


def ranked_gallery(similarity: np.ndarray, right: np.ndarray, ignored: np.ndarray) -> list[list[bool]]:
    """Of each query, whether the answers are right, the most similar first, without what is ignored."""
    found = []
    for row, hits, out in zip(similarity.tolist(), right.tolist(), ignored.tolist(), strict=True):
        answers = [(-score, j) for j, score in enumerate(row) if not out[j]]
        found.append([hits[j] for _, j in sorted(answers)])
    return found


def by_loop(queries: list[list[bool]]) -> dict[str, Any]:
    """Only queries that have a right answer count."""
    queries = [hits for hits in queries if any(hits)]
    places = [[i for i, hit in enumerate(hits, 1) if hit] for hits in queries]
    ap = [average_precision_score(hits, np.arange(len(hits), 0, -1)) for hits in queries]
    at_r = [
        Fraction(sum(Fraction(k, place) for k, place in enumerate(own, 1) if place <= len(own)), len(own))
        for own in places
    ]
    r_precision = [Fraction(sum(place <= len(own) for place in own), len(own)) for own in places]
    penalty = [Fraction(len(own), own[-1]) for own in places]
    cmc = [[own[0] <= rank for own in places] for rank in range(1, RANKS + 1)]
    return {
        "cmc": [_mean(rank) for rank in cmc],
        "mean_ap": _mean(ap),
        "mean_ap_at_r": _mean(at_r),
        "r_precision": _mean(r_precision),
        "mean_inp": _mean(penalty),
    }


def _mean(values: list[Any]) -> float:
    return float(sum(values) / len(values)) if values else math.nan


def compare(seed: int) -> Case:
    """A search of vectors with cameras, queries and gallery; and one of distances as they come."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 40))
    places = rng.integers(0, rng.choice([2, 20, 200]), count)  # few: identical vectors
    vectors = (rng.integers(0, 2, (200, DIMENSIONS)) / 2 - 0.25).astype(np.float32)[places]
    ids, cameras = rng.integers(-1, rng.choice([1, 4, 12]), count), rng.integers(-1, 3, count)
    query, gallery = rng.random(count) < 0.5, rng.random(count) < rng.choice([0.0, 0.7, 1.0], p=[0.05, 0.75, 0.2])
    found = retrieve(vectors, ids, cameras=cameras, query=query, gallery=gallery)

    asked, answers = np.flatnonzero(query & (ids >= 0)), np.flatnonzero(gallery & (ids >= 0))
    exact = vectors.astype(np.float64)
    right = ids[asked, None] == ids[answers]
    same = right & (cameras[asked, None] == cameras[answers]) & (cameras[answers] >= 0)
    ignored = same | (asked[:, None] == answers)
    queries = ranked_gallery(exact[asked] @ exact[answers].T, right, ignored)
    theirs = by_loop(queries)
    ours = {name: getattr(found, name) for name in theirs}

    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 30)))
    distances = rng.choice([0.0, 0.25, 0.5, *rng.random(3)], shape)
    hits, out = rng.random(shape) < rng.choice([0.05, 0.4]), rng.random(shape) < 0.2
    ranked, _ = rank_answers(-distances, hits, out)
    rows = ranked_gallery(-distances, hits, out)
    each = [by_loop([row]) for row in rows]
    ours["precision of each"] = ranked.precision
    theirs["precision of each"] = [one["mean_ap"] for one in each]
    ours["penalty of each"] = ranked.inverse_penalty
    theirs["penalty of each"] = [one["mean_inp"] for one in each]
    traits = {
        "ties": len(np.unique(vectors, axis=0)) < count,
        "ids with gaps": bool(len(np.setdiff1d(np.arange(ids.max(initial=0)), ids))),
        "images of nobody": bool((ids < 0).any()),
        "same camera": bool(same.any()),
        "no queries": not len(asked),
        "empty gallery": not len(answers),
        "query without an answer": any(not any(row) for row in queries),
        "unknown camera": bool((cameras < 0).any()),
    }
    return Case(ours, theirs, {name for name, true in traits.items() if true})


TRAITS = (
    *("ties", "ids with gaps", "images of nobody", "same camera", "no queries", "empty gallery"),
    *("query without an answer", "unknown camera"),
)
SEARCH = Subject(
    "CMC, mAP, mAP@R, mINP", "scikit-learn's AP, the rest in fractions", ("scikit-learn",), 1e-9, TRAITS, compare
)
