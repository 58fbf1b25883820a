"""Pooling of whole maps: into one vector, the descriptor, or a grid of means."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def generalized_mean(
    maps: Float[Tensor, "b c h w"], p: Float[Tensor, ""] | float, eps: float = 1e-6
) -> Float[Tensor, "b c"]:
    """``(mean of max(x, eps)^p)^(1/p)`` over the cells (1711.02512 Eq. 3): the mean for p = 1, towards the maximum for
    large p. In float32 at least: a cube leaves the range of fp16 from 40 on."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32)).clamp(min=eps).pow(p).mean((2, 3)).pow(1 / p)


def mean_grid(maps: Float[Tensor, "b c h w"], grid: int) -> Float[Tensor, "b c g g"]:
    """The means of ``grid`` x ``grid`` parts, which share cells where they do not come out even.

    In a graph whose sizes are free it is two matrix products: exporters make wrong indices of torch's own operator.
    """
    if not torch.compiler.is_compiling():
        return F.adaptive_avg_pool2d(maps, grid)
    rows, columns = (_shares(side, grid, maps) for side in maps.shape[2:])
    return rows @ maps @ columns.mT


def _shares(side: int, grid: int, like: Tensor) -> Float[Tensor, "g s"]:
    """How much of each cell of a side goes into the mean of each part."""
    part, cell = torch.arange(grid, device=like.device)[:, None], torch.arange(side, device=like.device)
    first, last = part * side // grid, ((part + 1) * side + grid - 1) // grid
    return ((cell >= first) & (cell < last)).to(like.dtype) / (last - first).to(like.dtype)


class Mean(nn.Module):
    """The mean over the cells: (B, C, H, W) → (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


class GeM(nn.Module):
    """Generalized-mean pooling whose exponent is learned (Radenović, Tolias, Chum 2017, arXiv 1711.02512 §3.2):
    (B, C, H, W) → (B, C)."""

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        return generalized_mean(maps, self.p, self.eps)
