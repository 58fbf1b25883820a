"""Bicubic resizing as MATLAB's ``imresize`` does it, by which super-resolution makes its small images and is measured:
another rule costs up to a decibel. Dims: C channels, H x W pixels."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 2.0  # input pixels to either side of Keys' cubic


def cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = −1/2 (IEEE ASSP 1981, Eq. 15)."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x < REACH, far, 0.0))


@functools.lru_cache(maxsize=64)
def weights(length: int, new: int) -> Tensor:
    """(new, length) float64: what each old pixel gives to each new one. Beyond its ends the row is mirrored, the last
    pixel repeated; where it shrinks, the kernel widens as much, which keeps it free of aliasing."""
    scale = new / length
    widened = min(scale, 1.0)
    centre = (torch.arange(new, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = REACH / widened
    taps = int(2 * reach) + 3
    places = torch.floor(centre - reach)[:, None] + torch.arange(taps)
    shares = widened * cubic(widened * (centre[:, None] - places))
    shares = shares / shares.sum(1, keepdim=True)
    period = torch.cat([torch.arange(length), torch.arange(length).flip(0)])
    matrix = torch.zeros(new, length, dtype=torch.float64)
    return matrix.scatter_add_(1, period[places.long() % (2 * length)], shares)


def bicubic(images: Float[Tensor, "*b h w"], size: tuple[int, int]) -> Float[Tensor, "*b h2 w2"]:
    """``images``, of any range, at ``size`` (height, width), in their own type of float; values may overshoot."""
    rows, columns = (weights(old, new).to(images) for old, new in zip(images.shape[-2:], size, strict=True))
    return rows @ images @ columns.T
