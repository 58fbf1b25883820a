"""Anchors and points: areas, ratios and the order in which they stand."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator

from baimu.ops.priors import anchor_grid, base_anchors, grid_points

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


def test_base_anchors_have_their_area_and_ratio_ratio_first() -> None:
    anchors = base_anchors(32, OCTAVES, (0.5, 1.0, 2.0))
    width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
    assert (height / width).tolist() == pytest.approx([0.5] * 3 + [1] * 3 + [2] * 3)
    assert (width * height).tolist() == pytest.approx([(32 * s) ** 2 for s in OCTAVES] * 3, rel=1e-5)
    assert torch.equal(anchors[:, :2], -anchors[:, 2:]), "centred at the origin"


def test_torchvision_rounds_the_same_anchors() -> None:
    theirs = AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),)).cell_anchors[0]
    assert torch.equal(base_anchors(32, (1.0, 2.0), (0.5, 1.0, 2.0)).round(), theirs)


@pytest.mark.parametrize(("offset", "first"), [(0.0, 0.0), (0.5, 4.0)])
def test_points_run_row_by_row(offset: float, first: float) -> None:
    points = grid_points(2, 3, 8, offset)
    expected = [[first + 8 * x, first + 8 * y] for y in range(2) for x in range(3)]
    assert points.tolist() == expected


def test_the_anchors_of_a_cell_stand_together() -> None:
    base = base_anchors(16, (1.0,), (0.5, 2.0))
    grid = anchor_grid(base, 2, 3, 16)
    assert grid.shape == (12, 4)
    expected = [
        (base[a] + torch.tensor([16.0 * x, 16 * y, 16 * x, 16 * y])).tolist()
        for y in range(2)
        for x in range(3)
        for a in range(2)
    ]
    assert grid.tolist() == expected
