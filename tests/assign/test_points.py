"""FCOS's assignment against a loop that states the rule point by point, and the spec's golden positions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baimu.assign.max_iou import BACKGROUND
from baimu.assign.points import point_assign
from baimu.ops.priors import grid_points
from tests.assign.test_max_iou import OBJECTS, targets_of
from tests.ops import oracle

STRIDES = (8, 16, 32)
RANGES = ((-1.0, 64.0), (64.0, 128.0), (128.0, math.inf))
GOLDEN_CENTRES = (
    {50, 51, 52, 66, 67, 68, 82, 83, 84},
    {119, 120, 121, 135, 136, 137, 151, 152, 153},
    {28, 29, 30, 44, 45, 46, 60, 61, 62},
)


def points_of(size: int, strides: tuple[int, ...] = STRIDES) -> list[Tensor]:
    return [grid_points(size // s, size // s, s, 0.5) for s in strides]


def slow(points: list[Tensor], boxes: Tensor, radius: float | None, ranges=RANGES) -> list[int]:
    answer = []
    for level, stride, (least, most) in zip(points, STRIDES, ranges, strict=True):
        for x, y in level.tolist():
            best, owner = math.inf, BACKGROUND
            for j, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
                sides = (x - x1, y - y1, x2 - x, y2 - y)
                near = radius is None or max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * stride
                size = (x2 - x1) * (y2 - y1)
                if min(sides) > 0 and near and least <= max(sides) <= most and size < best:
                    best, owner = size, j
            answer.append(owner)
    return answer


@pytest.mark.parametrize("radius", [None, 1.5, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_equals_the_loop_with_ties_and_borders(radius: float | None, seed: int) -> None:
    """Whole and half coordinates: points on sides and on the square's rim, distances at a range's end, equal areas."""
    boxes = torch.cat(
        [oracle.random_boxes(8, 32, seed=seed, smallest=4, largest=16) * 4, torch.tensor([[4.0, 4, 68, 68]])]
    )
    boxes = torch.cat([boxes, boxes[:2]])  # the same place twice: the first takes the points
    points = points_of(128)
    found = point_assign(
        points, targets_of(boxes, boxes[:1], boxes[:0], pad=2), strides=STRIDES, ranges=RANGES, radius=radius
    )
    for row, alone in zip(found.tolist(), (boxes, boxes[:1], boxes[:0]), strict=True):
        assert row == slow(points, alone, radius)
    assert set(found[2].tolist()) == {BACKGROUND}


def test_the_golden_positions_without_centre_sampling() -> None:
    index = point_assign(points_of(128), targets_of(OBJECTS), strides=STRIDES, ranges=RANGES)[0]
    levels = index.split([256, 64, 16])
    assert [int((level >= 0).sum()) for level in levels] == [85, 8, 0]
    assert [int((levels[0] == i).sum()) for i in range(3)] == [25, 48, 12]


def test_the_golden_positions_with_centre_sampling() -> None:
    index = point_assign(points_of(128), targets_of(OBJECTS), strides=STRIDES, ranges=RANGES, radius=1.5)[0]
    for i, expected in enumerate(GOLDEN_CENTRES):
        assert set((index == i).nonzero()[:, 0].tolist()) == expected


def test_a_point_on_the_border_is_outside_and_the_ends_of_a_range_are_inside() -> None:
    points = [torch.tensor([[8.0, 20], [9, 20], [40, 40]])]
    box = torch.tensor([[8.0, 8, 72, 72]])  # longest side distances: 64, 63, 32
    for ranges, expected in (
        (((-1.0, 64.0),), [BACKGROUND, 0, 0]),
        (((63.0, 99.0),), [BACKGROUND, 0, BACKGROUND]),
        (((-1.0, 32.0),), [BACKGROUND, BACKGROUND, 0]),
    ):
        assert point_assign(points, targets_of(box), strides=(8,), ranges=ranges)[0].tolist() == expected


def test_of_several_objects_the_smallest_takes_a_point_and_of_equals_the_first() -> None:
    points = [torch.tensor([[10.0, 10]])]
    boxes = torch.tensor([[0.0, 0, 40, 40], [4, 4, 20, 20], [5, 5, 21, 21], [2, 2, 60, 12]])
    for order, expected in (([0, 1, 2, 3], 1), ([0, 2, 1, 3], 1), ([3, 0], 0)):
        found = point_assign(points, targets_of(boxes[order]), strides=(8,), ranges=((-1.0, math.inf),))
        assert found.item() == expected


def test_padding_at_the_origin_takes_no_point() -> None:
    points = [torch.tensor([[0.0, 0], [4, 4]])]
    found = point_assign(points, targets_of(torch.zeros(0, 4), pad=3), strides=(8,), ranges=((-1.0, math.inf),))
    assert found.tolist() == [[BACKGROUND, BACKGROUND]]
