"""Objects that move, are missed and are imagined, as a detector would tell them frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baimu.results import Detections

SIZE = (600, 800)


def world(seed: int, *, objects: int = 12, frames: int = 40, missed: float = 0.15, imagined: int = 1):
    """(boxes, scores, vectors, identities) of each frame; what is imagined has the identity −1."""
    rng = np.random.default_rng(seed)
    centre, speed = rng.uniform((0, 0), SIZE[::-1], (objects, 2)), rng.normal(0, 4, (objects, 2))
    size, look = rng.uniform(40, 120, (objects, 2)), rng.normal(size=(objects, 8))
    for _ in range(frames):
        centre = centre + speed + rng.normal(0, 0.5, (objects, 2))
        seen = np.flatnonzero(rng.random(objects) >= missed)
        c = np.concatenate([centre[seen] + rng.normal(0, 1.5, (len(seen), 2)), rng.uniform(0, 600, (imagined, 2))])
        s = np.concatenate([size[seen] * rng.normal(1, 0.03, (len(seen), 2)), rng.uniform(40, 120, (imagined, 2))])
        boxes = np.concatenate([c - s / 2, c + s / 2], 1).astype(np.float32)
        vectors = np.concatenate([look[seen] + rng.normal(0, 0.3, (len(seen), 8)), rng.normal(size=(imagined, 8))])
        yield boxes, rng.uniform(0.05, 1, len(boxes)), vectors.astype(np.float32), np.r_[seen, [-1] * imagined]


def told(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray | None = None) -> Detections:
    """One frame's detections."""
    labels = np.zeros(len(boxes), np.int64) if labels is None else labels
    return Detections(boxes, scores.astype(np.float32), labels, ("car", "van"), SIZE)


def frames_of(seed: int, **options) -> Iterator[Detections]:
    return (told(boxes, scores) for boxes, scores, _, _ in world(seed, **options))
