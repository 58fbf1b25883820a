"""Edit distances against the recursion of the definition; figures by hand."""

from __future__ import annotations

import functools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baimu.metrics.text import FIGURES, alignment, alphanumeric, distance, score_readings

TEXT = st.text("ab c", max_size=7)


def naive(a: str, b: str) -> int:
    @functools.cache
    def far(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(far(i - 1, j) + 1, far(i, j - 1) + 1, far(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return far(len(a), len(b))


@settings(deadline=None, max_examples=150)
@given(TEXT, TEXT)
def test_distance_and_alignment(a: str, b: str) -> None:
    assert distance(a, b) == naive(a, b)
    pairs = alignment(a, b)
    assert "".join(x for x, _ in pairs) == a
    assert "".join(y for _, y in pairs) == b
    assert sum(x != y for x, y in pairs) == naive(a, b)
    assert all(x or y for x, y in pairs)


def test_distance_of_words() -> None:
    assert distance(["the", "cat", "sat"], ["the", "sat", "mat"]) == 2
    assert distance([], ["a"]) == distance(["a"], []) == 1


def test_figures_by_hand() -> None:
    truths = ["TOTAL 12.00", "abc", "", "x y"]
    found = ["TOTAL 1200", "Abc", "", "x"]
    scores = score_readings(truths, found, [0.9, 0.8, 1.0, 0.1])
    assert (scores.lines, scores.characters, scores.words) == (4, 17, 5)
    assert scores.cer == pytest.approx((1 + 1 + 0 + 2) / 17)
    assert scores.wer == pytest.approx((1 + 1 + 0 + 1) / 5)
    assert scores.accuracy == 1 / 4
    assert scores.accuracy_alphanumeric == 3 / 4
    assert scores.similarity == pytest.approx((10 / 11 + 2 / 3 + 1 + 1 / 3) / 4)
    assert {(m.truth, m.found, m.count) for m in scores.mixes} == {
        (".", "", 1),
        ("a", "A", 1),
        (" ", "", 1),
        ("y", "", 1),
    }
    assert scores.class_counts["0"] == 2
    assert scores.class_errors["."] == 1
    assert [row.line for row in scores.worst] == [3, 1, 0]
    assert [row.truth for row in scores.best] == [""]
    assert tuple(scores.figures()) == FIGURES
    told = json.loads(json.dumps(scores.to_dict()))
    assert told["worst"][0]["truth"] == "x y"
    assert "cer 0.235" in str(scores)


def test_a_reader_that_makes_things_up_errs_by_more_than_all() -> None:
    scores = score_readings(["a"], ["xyz"])
    assert scores.cer == 3
    assert scores.similarity == 0
    assert [(m.truth, m.found) for m in scores.mixes].count(("", "x")) + [m.found for m in scores.mixes].count("x") >= 1


def test_nothing_to_read() -> None:
    scores = score_readings([], [])
    assert all(math.isnan(value) for value in scores.figures().values())
    assert scores.to_dict()["cer"] is None
    with pytest.raises(ValueError, match="2 texts, but 1"):
        score_readings(["a", "b"], ["a"])


def test_alphanumeric_is_small_letters_and_digits() -> None:
    assert alphanumeric("Café No. 7!") == "cafno7"
