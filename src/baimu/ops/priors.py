"""Anchors and points: where a dense head's predictions stand. Flattened row by row, anchors of a cell together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def base_anchors(size: float, scales: Sequence[float], ratios: Sequence[float]) -> Float[Tensor, "a 4"]:
    """Anchors of one cell around (0, 0), xyxy pixels: every ratio (height / width) with every scale, ratio first.

    An anchor of scale s has the area (size * s)², whatever its ratio.
    """
    ratio = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    side = size * torch.tensor(scales, dtype=torch.float32)[None, :]
    half = torch.stack([side / ratio, side * ratio], -1).reshape(-1, 2) / 2
    return torch.cat([-half, half], -1)


def grid_points(
    height: int, width: int, stride: float, offset: float, device: torch.device | None = None
) -> Float[Tensor, "p 2"]:
    """(x, y) of every cell of a map, ``(index + offset) * stride`` pixels, row by row."""
    y = (torch.arange(height, device=device, dtype=torch.float32) + offset) * stride
    x = (torch.arange(width, device=device, dtype=torch.float32) + offset) * stride
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], -1).reshape(-1, 2)


def anchor_grid(base: Float[Tensor, "a 4"], height: int, width: int, stride: float) -> Float[Tensor, "p 4"]:
    """The cell's anchors at every cell of a map, centred at ``index * stride``; P = height * width * A."""
    centres = grid_points(height, width, stride, 0.0, base.device).repeat(1, 2)
    return (centres[:, None] + base).reshape(-1, 4)
