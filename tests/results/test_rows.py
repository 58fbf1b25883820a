"""Every result as rows of a table: they fit their columns and say what the result says."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.results import Classification, Detections, Embedding, Match, Matches, Picture, Reading, Result, Segmentation
from baimu.results.tracks import Tracks

FOUND = {
    "boxes": np.array([[0, 1, 2.5, 3.333]], np.float32),
    "scores": np.array([0.91239], np.float32),
    "labels": np.array([1]),
    "names": ("cat", "dog"),
    "size": (4, 6),
    "source": "a.jpg",
}
RESULTS: list[tuple[Result, list[tuple[object, ...]]]] = [
    (Detections(**FOUND), [("a.jpg", "dog", 1, "0.9124", "0.00", "1.00", "2.50", "3.33")]),
    (Tracks(**FOUND, ids=np.array([7])), [("a.jpg", "dog", 1, "0.9124", "0.00", "1.00", "2.50", "3.33", 7)]),
    (
        Classification(np.array([0.25, 0.75], np.float32), ("cat", "dog"), (4, 6), "a.jpg", top=1),
        [("a.jpg", "dog", 1, "0.7500")],
    ),
    (
        Segmentation(np.array([[1, 1, 0, 1]], np.uint8), ("cat", "dog"), (1, 4), "a.png"),
        [("a.png", "dog", 1, 3, "0.750000", ""), ("a.png", "cat", 0, 1, "0.250000", "")],
    ),
    (
        Segmentation(np.ones((1, 2), np.uint8), ("cat", "dog"), (1, 2), "a.png", np.full((1, 2), 51, np.uint8)),
        [("a.png", "dog", 1, 2, "1.000000", "0.2000")],
    ),
    (Reading("TOTAL", 0.5, np.full(5, 0.9, np.float32), (8, 40), "l.png"), [("l.png", "TOTAL", "0.5000")]),
    (Picture(np.zeros((8, 12, 3), np.uint8), (4, 6), "a.jpg", scale=2, kind="day"), [("a.jpg", "day", 12, 8)]),
    (
        Matches((Match("b.jpg", "finch", 0.91239, lambda: np.zeros((1, 1, 3), np.uint8)),), (4, 6), source="a.jpg"),
        [("a.jpg", "b.jpg", "finch", "0.9124")],
    ),
    (Embedding(np.array([0.6, 0.8], np.float32), (4, 6), source="a.jpg"), [("a.jpg", "2 numbers: 0.60 0.80 …")]),
]


@pytest.mark.parametrize(("result", "rows"), RESULTS, ids=lambda value: type(value).__name__)
def test_rows_fit_their_columns(result: Result, rows: list[tuple[object, ...]]) -> None:
    assert result.to_rows() == rows
    assert {len(row) for row in rows} == {len(result.columns)}


def test_nothing_has_no_row() -> None:
    nothing = {"boxes": np.zeros((0, 4), np.float32), "scores": np.zeros(0, np.float32), "labels": np.zeros(0, int)}
    assert Detections(**{**FOUND, **nothing}).to_rows() == []
