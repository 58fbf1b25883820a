"""Feature Pyramid Networks for Object Detection (Lin et al. 2016), arXiv 1612.03144.

A top-down path brings the strong, coarse features of a backbone to its fine maps. Dims: B images, C channels.

Differences from the paper: none in the pyramid itself. Coarser ``extra`` levels follow the detectors that use them:
a subsampled last map (Faster R-CNN), or strided convolutions on the backbone's last map (``"input"``: RetinaNet) or
on the pyramid's last map (``"output"``: FCOS), optionally with a ReLU before each but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.layers.contracts import Pyramid, check_pyramid
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import Norm


class FPN(nn.Module):
    """Reads ``channels`` and ``strides`` of ``backbone``; gives its maps and ``extra`` more, ``out_channels`` each."""

    def __init__(
        self,
        backbone: Pyramid,
        out_channels: int = 256,
        *,
        extra: int = 0,
        extra_from: Literal["pool", "input", "output"] = "pool",
        relu_before_extra: bool = False,
        norm: Norm | None = None,
    ) -> None:
        super().__init__()
        check_pyramid(backbone, "FPN")
        if extra_from not in ("pool", "input", "output"):
            raise ValueError(f"extra_from must be 'pool', 'input' or 'output', got {extra_from!r}")
        self.extra, self.extra_from, self.relu_before_extra = extra, extra_from, relu_before_extra
        levels = len(backbone.channels)
        self.channels = (out_channels,) * (levels + extra)
        self.strides = (*backbone.strides, *(backbone.strides[-1] * 2 ** (i + 1) for i in range(extra)))
        self.lateral = nn.ModuleList(ConvNorm(c, out_channels, 1, norm=norm, relu=False) for c in backbone.channels)
        self.output = nn.ModuleList(ConvNorm(out_channels, out_channels, norm=norm, relu=False) for _ in range(levels))
        sources = [backbone.channels[-1] if extra_from == "input" else out_channels, *[out_channels] * extra]
        self.coarse = nn.ModuleList(
            ConvNorm(sources[i], out_channels, stride=2, norm=norm, relu=False)
            for i in range(0 if extra_from == "pool" else extra)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps fine to coarse → the pyramid fine to coarse. Odd sizes are met by enlarging to the finer map's size."""
        laterals = [conv(x) for conv, x in zip(self.lateral, maps, strict=True)]
        merged = [laterals.pop()]
        for finer in reversed(laterals):
            merged.append(finer + F.interpolate(merged[-1], finer.shape[2:], mode="nearest"))
        pyramid = [conv(x) for conv, x in zip(self.output, reversed(merged), strict=True)]
        if self.extra_from == "pool":
            for _ in range(self.extra):
                pyramid.append(F.max_pool2d(pyramid[-1], 1, 2))
            return pyramid
        x = maps[-1] if self.extra_from == "input" else pyramid[-1]
        for i, conv in enumerate(self.coarse):
            x = conv(F.relu(x) if i and self.relu_before_extra else x)
            pyramid.append(x)
        return pyramid
