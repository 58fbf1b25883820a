"""A data set of arrays, and detections on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from baimu.datasets.source import Objects, Problem
from baimu.results import Detections


@dataclass
class ArraySource:
    """A :class:`~baimu.datasets.source.DetectionSource` of one :class:`Objects` an image."""

    images: list[Objects]
    classes: tuple[str, ...]
    category_ids: Sequence[int]
    ids: list[int | str]
    problems: Sequence[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"image {self.ids[index]}"

    def image_id(self, index: int) -> int | str:
        return self.ids[index]

    def size(self, index: int) -> tuple[int, int]:
        return (200, 200)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return np.zeros((200, 200, 3), np.uint8)

    def objects(self, index: int) -> Objects:
        return self.images[index]

    def select(self, indices: Sequence[int]) -> ArraySource:
        raise NotImplementedError


def make_source(
    images: Sequence[Sequence[tuple]],
    num_classes: int,
    *,
    ids: Sequence[int | str] | None = None,
    category_ids: Sequence[int] | None = None,
) -> ArraySource:
    """Each image a list of (label, xyxy box, crowd) or (label, xyxy box, crowd, area)."""
    tables = []
    for objects in images:
        boxes = np.array([o[1] for o in objects], np.float32).reshape(-1, 4)
        own = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        areas = [o[3] if len(o) > 3 else own[i] for i, o in enumerate(objects)]
        tables.append(
            Objects(
                boxes,
                np.array([o[0] for o in objects], np.int64),
                np.array([o[2] for o in objects], bool),
                np.array(areas, np.float32),
                np.arange(len(objects)),
            )
        )
    classes = tuple(f"class {k}" for k in range(num_classes))
    return ArraySource(
        tables, classes, category_ids or range(1, num_classes + 1), list(ids or range(1, len(tables) + 1))
    )


def make_detections(images: Sequence[Sequence[tuple]], num_classes: int) -> list[Detections]:
    """Each image a list of (label, xyxy box, score)."""
    classes = tuple(f"class {k}" for k in range(num_classes))
    return [
        Detections(
            np.array([d[1] for d in found], np.float32).reshape(-1, 4),
            np.array([d[2] for d in found], np.float32),
            np.array([d[0] for d in found], np.int64),
            classes,
            (200, 200),
        )
        for found in images
    ]
