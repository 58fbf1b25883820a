"""Kalman filters of many objects at once, each coordinate moving at constant speed and for itself.

What SORT, DeepSORT and ByteTrack filter has no term that joins two coordinates: the noise is independent, the motion is
``x ← x + v``, and what is measured is x. The covariance (2D, 2D) of such an object is D blocks (2, 2) and stays so, so
a filter step is the textbook's (R. E. Kalman, 1960) in closed form, without a matrix. Arrays are numpy float64: an
object's numbers are too few for tensors. Dims: T objects, D coordinates, M measurements. Noise is variance, in squared
units of the coordinate, and broadcasts against (T, D).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Motion(NamedTuple):
    """Where T objects are, how far they move in a frame, and how sure that is. A coordinate without speed has zeros in
    ``velocity``, ``covariance`` and ``velocity_variance``, and keeps them where its speed has no process noise."""

    position: Float[np.ndarray, "t d"]
    velocity: Float[np.ndarray, "t d"]
    variance: Float[np.ndarray, "t d"]  # of the position
    covariance: Float[np.ndarray, "t d"]  # of position and velocity
    velocity_variance: Float[np.ndarray, "t d"]

    def take(self, rows: np.ndarray) -> Motion:
        """The objects of an index or a bool mask."""
        return Motion(*(field[rows] for field in self))

    def put(self, rows: np.ndarray, other: Motion) -> None:
        """Replace the objects of ``rows``, in place."""
        for field, values in zip(self, other, strict=True):
            field[rows] = values

    def joined(self, other: Motion) -> Motion:
        return Motion(*map(np.concatenate, zip(self, other, strict=True)))


def start(
    position: Float[np.ndarray, "t d"],
    variance: Float[np.ndarray, "*#td"],
    velocity_variance: Float[np.ndarray, "*#td"],
) -> Motion:
    """Objects at rest, seen for the first time."""
    position = position.astype(np.float64)
    full = (np.broadcast_to(noise, position.shape).astype(np.float64) for noise in (variance, velocity_variance))
    variance, velocity_variance = full
    return Motion(position, np.zeros_like(position), variance, np.zeros_like(position), velocity_variance)


def predict(motion: Motion, noise: Float[np.ndarray, "*#td"], velocity_noise: Float[np.ndarray, "*#td"]) -> Motion:
    """One frame later, with the process noise of position and velocity."""
    position, velocity, variance, covariance, velocity_variance = motion
    return Motion(
        position + velocity,
        velocity,
        variance + 2 * covariance + velocity_variance + noise,
        covariance + velocity_variance,
        velocity_variance + velocity_noise,
    )


def correct(motion: Motion, measured: Float[np.ndarray, "t d"], noise: Float[np.ndarray, "*#td"]) -> Motion:
    """After object t was measured at ``measured[t]``, with the noise of the measurement."""
    position, velocity, variance, covariance, velocity_variance = motion
    whole = variance + noise
    gain, velocity_gain = variance / whole, covariance / whole
    surprise = measured - position
    return Motion(
        position + gain * surprise,
        velocity + velocity_gain * surprise,
        variance - gain * variance,
        covariance - gain * covariance,
        velocity_variance - velocity_gain * covariance,
    )


def squared_distance(
    motion: Motion, measured: Float[np.ndarray, "m d"], noise: Float[np.ndarray, "*#td"]
) -> Float[np.ndarray, "t m"]:
    """Squared Mahalanobis distance of every measurement from every object: χ² with D degrees of freedom if it is its
    own."""
    whole = motion.variance + noise
    weight = 1 / whole
    # (z − x)² w summed over d, opened up: three matrix products need no (T, M, D) array
    origin = measured.mean(0) if len(measured) else 0.0  # the products cancel least around the middle
    x, z = motion.position - origin, measured - origin
    squared = (x * x * weight).sum(1)[:, None] - 2 * (x * weight) @ z.T + weight @ (z * z).T
    return squared.clip(0)
