"""One vector of a map: how the cells of a feature map become a descriptor."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def generalized_mean(
    maps: Float[Tensor, "b c h w"], p: Float[Tensor, ""] | float, eps: float = 1e-6
) -> Float[Tensor, "b c"]:
    """``(mean of max(x, eps)^p)^(1/p)`` over the cells (1711.02512 Eq. 3): the mean for p = 1, towards the maximum for
    large p. In float32 at least: a cube leaves the range of fp16 from 40 on."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32)).clamp(min=eps).pow(p).mean((2, 3)).pow(1 / p)


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
