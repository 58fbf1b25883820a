"""Anchors of a pyramid, as a module, so that they follow the model to its device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baimu.ops.priors import anchor_grid


class AnchorGrid(nn.Module):
    """Lays each level's base anchors (A, 4) over its feature map, centred at ``index * stride``."""

    def __init__(self, base: Sequence[Tensor], strides: Sequence[int]) -> None:
        super().__init__()
        if len(base) != len(strides):
            raise ValueError(f"one set of base anchors a level: {len(base)} sets for {len(strides)} strides")
        self.strides = tuple(strides)
        for level, anchors in enumerate(base):
            self.register_buffer(f"base{level}", torch.as_tensor(anchors, dtype=torch.float32), persistent=False)

    @property
    def anchors_per_cell(self) -> int:
        return self.get_buffer("base0").shape[0]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Anchors (P, 4) xyxy pixels of each map (B, C, H, W), in the order (row, column, anchor)."""
        return [
            anchor_grid(self.get_buffer(f"base{level}"), x.shape[2], x.shape[3], stride)
            for level, (x, stride) in enumerate(zip(maps, self.strides, strict=True))
        ]
