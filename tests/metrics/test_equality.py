"""Every metric equals its reference code on random hard cases; ``make equality`` takes 2,000 of each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.metrics.equality.case import Case, Subject, tally
from tests.metrics.equality.subjects import SUBJECTS

CASES = 120


@pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.metric for subject in SUBJECTS])
def test_equals_its_reference(subject: Subject) -> None:
    found = tally(subject, range(CASES))
    assert not found.wrong, f"seed → figure → difference: {found.wrong}"
    assert set(subject.traits) <= set(found.traits), "the cases must be as hard as they are said to be"


def test_a_difference_is_told_with_its_seed_and_figure() -> None:
    def compare(seed: int) -> Case:
        return Case(
            {"a": [1.0, math.nan], "b": seed}, {"a": [1.0, math.nan], "b": 2 * seed}, {"odd"} if seed % 2 else set()
        )

    found = tally(Subject("m", "r", (), 1.0, ("odd",), compare), range(4))
    assert (found.cases, found.exact, found.largest) == (4, 1, 3.0)
    assert found.wrong == {2: {"b": 2.0}, 3: {"b": 3.0}}
    assert found.traits == {"odd": 2}


@pytest.mark.parametrize("theirs", [math.nan, [1.0, 1.0]])
def test_defined_on_one_side_or_of_another_shape_is_infinitely_far(theirs: object) -> None:
    assert Case({"a": 1.0}, {"a": theirs}, set()).differences() == {"a": math.inf}
    assert Case({"a": np.zeros(0)}, {"a": []}, set()).differences() == {"a": 0.0}
