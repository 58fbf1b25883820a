"""Anchors as a module: one set a level, on the model's device, not in its checkpoint."""

from __future__ import annotations

import pytest
import torch

from baimu.layers.anchors import AnchorGrid
from baimu.ops.priors import anchor_grid, base_anchors

BASE = [base_anchors(4 * s, (1.0,), (0.5, 1.0)) for s in (8, 16)]


def test_each_level_has_its_anchors_over_its_map() -> None:
    grid = AnchorGrid(BASE, (8, 16))
    found = grid([torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 2, 3)])
    assert [a.shape for a in found] == [(48, 4), (12, 4)]
    assert torch.equal(found[1], anchor_grid(BASE[1], 2, 3, 16))
    assert grid.anchors_per_cell == 2


def test_they_follow_the_model_and_are_not_stored() -> None:
    grid = AnchorGrid(BASE, (8, 16))
    assert not grid.state_dict()
    assert grid.to("meta").base0.is_meta


def test_levels_and_strides_must_match() -> None:
    with pytest.raises(ValueError, match="2 sets for 3 strides"):
        AnchorGrid(BASE, (8, 16, 32))
    with pytest.raises(ValueError, match=r"zip\(\)"):
        AnchorGrid(BASE, (8, 16))([torch.zeros(1, 1, 2, 2)])
