"""The pairing against the solver on the whole matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from baimu.assign.one_to_one import pair_up


@given(st.integers(0, 9), st.integers(0, 9), st.floats(0, 1), st.integers(0, 10**6))
def test_equals_the_solver_on_all_pairs(rows: int, columns: int, sparse: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain = rng.random((rows, columns)) - sparse
    first, second = pair_up(gain)
    whole = linear_sum_assignment(gain.clip(0), maximize=True)
    expected = [(i, j) for i, j in zip(*whole, strict=True) if gain[i, j] > 0]
    assert list(zip(first, second, strict=True)) == expected


def test_a_pair_without_gain_is_not_made() -> None:
    first, second = pair_up(np.array([[0.0, -1.0], [-2.0, 0.5]]))
    assert (first.tolist(), second.tolist()) == ([1], [1])
