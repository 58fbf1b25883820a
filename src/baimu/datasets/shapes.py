"""The things that playground scenes are made of, as signed distances: one line of geometry a thing, no fonts, no files.

Every distance function takes the coordinates ``u`` (right) and ``v`` (down) of float32 grids, in units in which the
thing just fits between −1 and 1, and answers how far outside its edge each point lies, in the same units: negative
inside, zero on the edge. Along edges the distance is exact, so that ``0.5 − distance in pixels`` is the coverage of a
pixel; beyond a sharp tip it may be too small, which no picture shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """A class of things: its outline, how far it may lean, and where its eye sits, if it looks at us."""

    distance: Distance
    tilt: float = math.pi  # largest rotation either way; π: no upright position
    eye: tuple[float, float, float] | None = None  # u, v, radius


def length(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Distance from the origin; ``np.hypot`` guards against overflow that cannot happen here, at thrice the time."""
    return np.sqrt(u * u + v * v)


def segment(u: np.ndarray, v: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Distance from the line between two points: the spine of every stroke."""
    du, dv = end[0] - start[0], end[1] - start[1]
    along = (((u - start[0]) * du + (v - start[1]) * dv) / (du * du + dv * dv)).clip(0, 1)
    return length(u - start[0] - along * du, v - start[1] - along * dv)


def box(u: np.ndarray, v: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """An upright rectangle about the origin."""
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def spikes(u: np.ndarray, v: np.ndarray, count: int, inner: float) -> np.ndarray:
    """A star of ``count`` tips on the unit circle whose notches lie at radius ``inner``; one tip points up.

    All tips are folded onto one: there the edge is the single line from the tip to the notch beside it. The notch
    at ``cos(π / count)`` makes the regular polygon.
    """
    sector = math.pi / count
    turn = np.arctan2(u, -v) / np.float32(2 * sector)
    turn = np.abs(turn - np.rint(turn)) * np.float32(2 * sector)
    radius = length(u, v)
    along, across = radius * np.cos(turn), radius * np.sin(turn)
    edge_along, edge_across = inner * math.cos(sector) - 1, inner * math.sin(sector)
    norm = math.hypot(edge_along, edge_across)
    return ((along - 1) * edge_across - across * edge_along) / norm


def disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return length(u, v) - 1


def ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(length(u, v) - 0.72) - 0.28


def square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return box(u, v, 0.84, 0.84)


def triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return spikes(u, v + 0.15, 3, 0.5)


def star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return spikes(u, v, 5, 0.46)


def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(box(u, v, 0.98, 0.32), box(u, v, 0.32, 0.98))


def heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A square on its corner and a disc on each of its upper sides."""
    side, centre, u = 1.17, 0.086, np.abs(u)
    shift = side / math.sqrt(8)
    diamond = (u + np.abs(v - centre)) / math.sqrt(2) - side / 2
    return np.minimum(diamond, length(u - shift, v - centre + shift) - side / 2)


def moon(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A disc bitten by another."""
    return np.maximum(length(u - 0.15, v) - 1, 0.86 - length(u - 0.72, v))


def letter_a(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u = np.abs(u)
    leg = segment(u, v, (0.0, -0.8), (0.6, 0.76)) - 0.19
    return np.minimum(leg, segment(u, v, (0.0, 0.32), (0.4, 0.32)) - 0.17)


def digit_8(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    upper = np.abs(length(u, v + 0.46) - 0.36) - 0.18
    return np.minimum(upper, np.abs(length(u, v - 0.4) - 0.42) - 0.18)


def key(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    bow = np.abs(length(u + 0.56, v) - 0.29) - 0.15
    stem = box(u - 0.4, v, 0.58, 0.14)
    teeth = box(np.abs(u - 0.71) - 0.18, v - 0.28, 0.09, 0.2)
    return np.minimum(np.minimum(bow, stem), teeth)


def fish(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two discs whose overlap is the body, and a triangle for the tail."""
    v = np.abs(v)
    body = length(u - 0.25, v + 0.2606) - 0.7806
    tail = np.maximum(-1 - u, (v + 0.75 * (u + 0.2)) / 1.25)
    return np.minimum(body, tail)


SHAPES: dict[str, Shape] = {
    "disc": Shape(disc),
    "ring": Shape(ring),
    "square": Shape(square),
    "triangle": Shape(triangle),
    "star": Shape(star),
    "cross": Shape(cross),
    "heart": Shape(heart, tilt=0.7),
    "moon": Shape(moon),
    "A": Shape(letter_a, tilt=0.5),
    "8": Shape(digit_8, tilt=0.5),
    "key": Shape(key),
    "fish": Shape(fish, tilt=0.6, eye=(0.6, -0.12, 0.15)),
}
"""Every class of the playground, in the order of its labels."""
