"""A large image through a network in overlapping tiles, so that memory follows the tile and not the image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def tiled(run: Callable[[Tensor], Tensor], images: Tensor, *, tile: int, margin: int, scale: int = 1) -> Tensor:
    """``run(images)`` of (B, C, H, W) → (B, C', S H, S W), in squares of ``tile`` input pixels.

    Each square is run with ``margin`` pixels of what lies around it, of whose results nothing is kept: where no output
    depends on input farther away, all of it equals the whole image's, borders included.
    """
    height, width = images.shape[2:]
    if tile < 1 or margin < 0:
        raise ValueError(f"tile must be at least 1 and margin at least 0, got {tile} and {margin}")
    if max(height, width) <= tile:
        return run(images)
    rows = []
    for top, bottom in _spans(height, tile):
        above, below = max(0, top - margin), min(height, bottom + margin)
        row = []
        for left, right in _spans(width, tile):
            before, after = max(0, left - margin), min(width, right + margin)
            made = run(images[:, :, above:below, before:after])
            made = made[:, :, scale * (top - above) : scale * (bottom - above)]
            row.append(made[..., scale * (left - before) : scale * (right - before)])
        rows.append(torch.cat(row, 3))
    return torch.cat(rows, 2)


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """As few spans as ``tile`` allows, of nearly one length."""
    count = -(-length // tile)
    edges = [round(i * length / count) for i in range(count + 1)]
    yield from itertools.pairwise(edges)
