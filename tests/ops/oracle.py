"""Slow, obvious answers in Python's own floats, and random boxes to ask about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

Box = Sequence[float]


def area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def overlap(a: Box, b: Box) -> float:
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Box, b: Box) -> float:
    union = area(a) + area(b) - overlap(a, b)
    return overlap(a, b) / union if union > 0 else 0.0


def hull(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def giou(a: Box, b: Box) -> float:
    """Eq. 2 of 1902.09630, for boxes whose enclosing box has an area."""
    union = area(a) + area(b) - overlap(a, b)
    return iou(a, b) - (area(hull(a, b)) - union) / area(hull(a, b))


def diou(a: Box, b: Box) -> float:
    """Eq. 5 and 6 of 1911.08287."""
    outer = hull(a, b)
    diagonal = math.hypot(outer[2] - outer[0], outer[3] - outer[1])
    apart = math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)
    return iou(a, b) - apart**2 / diagonal**2


def ciou(a: Box, b: Box) -> float:
    """Eq. 8 to 11 of 1911.08287, for boxes with an area."""
    v = 4 / math.pi**2 * (_angle(b) - _angle(a)) ** 2
    return diou(a, b) - (v * v / (1 - iou(a, b) + v) if v else 0.0)


def _angle(box: Box) -> float:
    return math.atan((box[2] - box[0]) / (box[3] - box[1]))


def nms(boxes: Sequence[Box], scores: Sequence[float], groups: Sequence[int], threshold: float) -> list[int]:
    """Greedy suppression within a group, best first, of equal scores the earlier: indices kept, best first."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):  # a stable sort
        if all(groups[i] != groups[k] or iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


def random_boxes(count: int, size: int, seed: int, *, smallest: int = 1, largest: int | None = None) -> Tensor:
    """Boxes (count, 4) on whole pixels within ``size``: whole numbers make true ties."""
    random = torch.Generator().manual_seed(seed)
    side = torch.randint(smallest, (largest or size // 2) + 1, (count, 2), generator=random)
    corner = (torch.rand(count, 2, generator=random) * (size - side + 1)).floor()
    return torch.cat([corner, corner + side], 1).float()


@st.composite
def box_sets(draw: st.DrawFn, count: int | None = None, smallest: int = 0) -> Tensor:
    """Boxes (n, 4) float32 on quarters of a pixel, also of no width or height where ``smallest`` is 0."""
    places, sides = st.integers(-256, 256), st.integers(smallest, 256)
    count = draw(st.integers(0, 6)) if count is None else count
    corners = draw(st.lists(st.tuples(places, places, sides, sides), min_size=count, max_size=count))
    x, y, width, height = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4).unbind(1)
    return torch.stack([x, y, x + width, y + height], 1) / 4
