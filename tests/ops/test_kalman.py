"""The batched filter against the textbook's matrices."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from baimu.ops.kalman import correct, predict, squared_distance, start
from tests.tracking.slow import Kalman


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_equals_the_textbooks_filter(objects: int, coordinates: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, speed, q, qv, r = rng.uniform(0.1, 5, (5, objects, coordinates))
    begun = rng.normal(0, 50, (objects, coordinates))
    motion = start(begun, first, speed)
    slow = [Kalman([*x, *np.zeros(coordinates)], np.diag([*f, *s]), coordinates)
            for x, f, s in zip(begun, first, speed, strict=True)]  # fmt: skip
    for _ in range(6):
        motion = predict(motion, q, qv)
        measured = motion.position + rng.normal(0, 3, motion.position.shape)
        far = squared_distance(motion, measured, r)
        motion = correct(motion, measured, r)
        for i, one in enumerate(slow):
            one.predict(np.diag([*q[i], *qv[i]]))
            assert np.allclose(far[i], [one.distance(z, np.diag(r[i])) for z in measured], rtol=1e-7, atol=1e-7)
            one.correct(measured[i], np.diag(r[i]))
    for i, one in enumerate(slow):
        np.testing.assert_allclose(np.r_[motion.position[i], motion.velocity[i]], one.x, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(np.diag(one.P)[:coordinates], motion.variance[i], rtol=1e-8)
        np.testing.assert_allclose(np.diag(one.P[:coordinates, coordinates:]), motion.covariance[i], rtol=1e-8)
        np.testing.assert_allclose(np.diag(one.P)[coordinates:], motion.velocity_variance[i], rtol=1e-8)


def test_no_object_and_no_measurement() -> None:
    nothing = start(np.zeros((0, 4)), np.ones(4), np.ones(4))
    assert predict(nothing, np.ones(4), np.ones(4)).position.shape == (0, 4)
    one = start(np.zeros((1, 4)), np.ones(4), np.ones(4))
    assert squared_distance(one, np.zeros((0, 4)), np.ones(4)).shape == (1, 0)
    assert squared_distance(nothing, np.zeros((3, 4)), np.ones(4)).shape == (0, 3)
