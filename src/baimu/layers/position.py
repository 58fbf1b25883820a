"""Where a place of a map lies, for attention. Dims: B images, H x W input pixels, h x w cells, C channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def valid_cells(sizes: Int[Tensor, "b 2"], input_size: Sequence[int], map_size: Sequence[int]) -> Bool[Tensor, "b h w"]:
    """True on the cells of a map that lie in their image, whose valid (height, width) in input pixels is ``sizes``.

    A cell asks the pixel ``floor(index * H / h)``: nearest-neighbour reduction of the padding mask.
    """
    rows, columns = (
        torch.arange(cells, device=sizes.device) * pixels // cells < sizes[:, axis, None]
        for axis, (pixels, cells) in enumerate(zip(input_size, map_size, strict=True))
    )
    return rows[:, :, None] & columns[:, None, :]


def sine_positions(
    valid: Bool[Tensor, "b h w"], channels: int, *, temperature: float = 10000.0
) -> Float[Tensor, "b h w c"]:
    """Sines and cosines of a cell's place in its own image, half of the channels for y, then half for x.

    With the place counted from 1 and scaled to 2π at the last valid cell, channel 2i of an axis is
    ``sin(place / T^(2i / (C/2)))`` and channel 2i + 1 its cosine (1706.03762 §3.5 on two axes). ``channels`` must be
    a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"two axes of sines and cosines need a multiple of 4 channels, got {channels}")
    frequency = torch.arange(0, channels // 2, 2, device=valid.device, dtype=torch.float32)
    wavelength = temperature ** (frequency / (channels // 2))
    axes = []
    for axis in (1, 2):
        count = valid.float().cumsum(axis)
        place = count / (count.narrow(axis, -1, 1) + 1e-6) * (2 * math.pi)
        angle = place[..., None] / wavelength
        axes.append(torch.stack([angle.sin(), angle.cos()], -1).flatten(3))
    return torch.cat(axes, -1)
