"""Random networks in which every parameter and statistic counts, and neither signals nor rounding explode."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from tests.parity.golden import filled


def fill(net: nn.Module, factors: Mapping[str, float] | None = None) -> nn.Module:
    """Every entry of the state dict by the rule of the golden files, from its name; in eval mode.

    ``factors`` are of weights whose names end so: heads, whose answers must differ and stay in the image. (Batch norms
    with the statistics of one random batch, instead, would enlarge each difference of rounding from layer to layer.)
    """
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            continue
        kind = "w" if value.dim() > 1 else "b" if name.endswith(("bias", "mean")) else "v" if "var" in name else "s"
        scale = math.sqrt(1 / value[0].numel()) if kind == "w" else 1.0
        for end, factor in (factors or {}).items():
            scale *= factor if name.endswith(end) else 1
        value.copy_(torch.from_numpy(filled(name, list(value.shape), kind, scale)))
    return net.eval()
