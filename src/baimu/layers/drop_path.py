"""Deep Networks with Stochastic Depth (Huang, Sun, Liu, Sedra, Weinberger 2016), arXiv 1603.09382."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, a residual branch is left away for each image with probability ``rate``.

    What stays is divided by ``1 - rate``, so that evaluation needs no factor (the paper multiplies there instead).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of a drop path must lie in 0…1, 1 excluded; got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand((x.shape[0], *[1] * (x.dim() - 1)), device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


def rising_rates(rate: float, blocks: int) -> list[float]:
    """A rate for each of a network's residual blocks, from 0 to ``rate`` (the paper's linear decay rule)."""
    return [rate * i / max(1, blocks - 1) for i in range(blocks)]
