"""Classifiers: from the maps of a backbone to logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.layers.conv import Act, ConvNorm, init_fan_out
from baimu.layers.norm import Norm


class LinearHead(nn.Module):
    """The mean of the last map, dropout, one linear layer: maps → logits (B, K)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.0, *, bias: bool = True) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear = nn.Linear(in_channels, num_classes, bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.linear(F.dropout(maps[-1].mean((2, 3)), self.dropout, self.training))


class ConvHead(nn.Module):
    """A 1x1 convolution to ``width`` channels with norm and activation, its mean, dropout, a linear layer: maps →
    logits (B, K)."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dropout: float = 0.0,
        *,
        width: int,
        norm: Norm,
        act: Act | None = None,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.widen = ConvNorm(in_channels, width, 1, norm=norm, act=act)
        self.linear = nn.Linear(width, num_classes)
        init_fan_out(self.widen)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.linear(F.dropout(self.widen(maps[-1]).mean((2, 3)), self.dropout, self.training))
