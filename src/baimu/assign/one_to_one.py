"""One-to-one pairing by the largest total gain: tracks and detections, or truths and what was found of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment


def pair_up(gain: Float[np.ndarray, "n m"]) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Rows and columns of the pairs with the largest total gain, by row; a pair without gain (≤ 0) is never made.

    With costs and a limit, the gain is ``limit − cost``: the cheapest pairing in which every row or column left alone
    costs half the limit, as ``lap.lapjv(cost, cost_limit=limit)``. A pair that has no rival in its row and column is
    made at once; the solver, whose time grows with the cube, gets only what is contested. Among equal optima the
    answer is always the same one.
    """
    allowed = gain > 0
    row_options, column_options = allowed.sum(1), allowed.sum(0)
    rows = np.flatnonzero(row_options == 1)
    columns = allowed[rows].nonzero()[1]
    alone = column_options[columns] == 1
    rows, columns = rows[alone], columns[alone]
    row_options[rows], column_options[columns] = 0, 0
    contested, wanted = np.flatnonzero(row_options), np.flatnonzero(column_options)
    if len(contested):
        part = gain[np.ix_(contested, wanted)].clip(0)
        first, second = linear_sum_assignment(part, maximize=True)
        gained = part[first, second] > 0
        rows = np.concatenate([rows, contested[first[gained]]])
        columns = np.concatenate([columns, wanted[second[gained]]])
        order = rows.argsort()
        rows, columns = rows[order], columns[order]
    return rows, columns
