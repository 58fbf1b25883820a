"""Positions against a slow loop; the padding mask of a map against nearest-neighbour reduction."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from baimu.layers.position import sine_positions, valid_cells


def slow_position(row: int, column: int, rows: int, columns: int, channels: int) -> list[float]:
    """Of one valid cell of an image that has ``rows`` x ``columns`` of them."""
    out = []
    for index, count in ((row, rows), (column, columns)):
        place = (index + 1) / (count + 1e-6) * 2 * math.pi
        for i in range(channels // 2):
            angle = place / 10000 ** (2 * (i // 2) / (channels // 2))
            out.append(math.cos(angle) if i % 2 else math.sin(angle))
    return out


def test_positions_equal_a_slow_loop() -> None:
    sizes, channels = [(5, 7), (2, 6), (1, 1)], 12
    valid = torch.zeros(3, 5, 7, dtype=torch.bool)
    for mask, (rows, columns) in zip(valid, sizes, strict=True):
        mask[:rows, :columns] = True
    found = sine_positions(valid, channels)
    assert found.shape == (3, 5, 7, channels)
    assert bool(found.isfinite().all()), "in the padding too"
    for i, (rows, columns) in enumerate(sizes):
        for y in range(rows):
            for x in range(columns):
                expected = torch.tensor(slow_position(y, x, rows, columns, channels))
                torch.testing.assert_close(found[i, y, x], expected, atol=1e-5, rtol=0)


def test_padding_moves_no_position() -> None:
    small = torch.ones(1, 3, 4, dtype=torch.bool)
    padded = F.pad(small, (0, 5, 0, 2))
    assert torch.equal(sine_positions(padded, 8)[:, :3, :4], sine_positions(small, 8))


def test_all_cells_of_an_image_have_different_positions() -> None:
    rows = sine_positions(torch.ones(1, 9, 11, dtype=torch.bool), 16).flatten(0, 2)
    apart = (rows[:, None] - rows).abs().amax(-1) + torch.eye(99)
    assert apart.min() > 1e-2


def test_channels_must_be_a_multiple_of_four() -> None:
    with pytest.raises(ValueError, match="multiple of 4 channels, got 6"):
        sine_positions(torch.ones(1, 2, 2, dtype=torch.bool), 6)


@pytest.mark.parametrize("size", [(64, 96), (75, 50), (33, 33), (801, 1333), (1, 1)])
def test_cells_are_valid_where_the_reduced_mask_is(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    cells = tuple(-(-side // 32) for side in size)
    whole = torch.tensor(size)
    sizes = torch.cat([whole[None], 1 + (torch.rand(20, 2, generator=generator) * whole).long().clamp(max=whole - 1)])
    mask = torch.zeros(len(sizes), *size)
    for place, (height, width) in zip(mask, sizes.tolist(), strict=True):
        place[:height, :width] = 1
    expected = F.interpolate(mask[None], size=cells)[0].bool()
    found = valid_cells(sizes, size, cells)
    assert torch.equal(found, expected)
    assert bool(found[0].all())
    assert bool(found[:, 0, 0].all()), "every image has a cell"
