"""Fast Algorithms for Convolutional Neural Networks (Lavin, Gray 2016), arXiv 1509.09308: F(4x4, 3x3).

A tile of 4 x 4 results needs 6 x 6 inputs and, in the space of these matrices, 36 multiplications a channel where the
convolution has 144: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A (Eq. 8), the sum over channels a product of matrices for each of the
36 places. The price are passes over memory, which pay where channels are many, and about a digit: numbers as large as
8 take part.

Dims: C input channels, K output channels, H x W places of the map, T tiles of h x w.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baimu.layers.fused import RELU, FusedConv2d, finished

TILE = 4
LEAST_CHANNELS = 128
LEAST_TILES = 16
"""Below these the passes over memory cost what the multiplications save (measured)."""

INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
"""Bᵀ."""
WEIGHT = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
) / 24  # fmt: skip
"""G."""
OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)
"""Aᵀ."""


def suits(conv: nn.Conv2d) -> bool:
    """Whether it is a convolution that this may compute, and one that gains by it."""
    dense = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    ours = dense == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
    return ours and min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS


def transformed(weight: Tensor) -> Tensor:
    """A weight (K, C, 3, 3) as 36 matrices (36, C, K), columns of the tile before rows."""
    exact = WEIGHT.to(weight.device)
    moved = torch.einsum("ab, kcbd, ed -> eack", exact, weight.double(), exact)
    return moved.reshape(36, weight.shape[1], weight.shape[0]).to(weight.dtype).contiguous()


def winograd(x: Tensor, weight: Tensor) -> Tensor:
    """The 3x3 convolution, padded by 1, of one image (1, C, H, W) with a :func:`transformed` weight → (1, K, H, W),
    channels-last; float32."""
    (_, channels, height, width), made = x.shape, weight.shape[2]
    down, across = -(-height // TILE), -(-width // TILE)
    line = (TILE * across + 2) * channels  # numbers in a row of the padded map
    padded = x.new_zeros(TILE * down + 2, TILE * across + 2, channels)
    padded[1 : height + 1, 1 : width + 1] = x[0].permute(1, 2, 0)

    rows = torch.matmul(INPUT, padded.as_strided((down, 6, line), (TILE * line, line, 1)))
    columns = rows.as_strided((down * 6, across, 6, channels), (line, TILE * channels, channels, 1))
    tiles = torch.matmul(INPUT, columns).view(down, 6, across, 6, channels)
    tiles = tiles.permute(3, 1, 0, 2, 4).reshape(36, down * across, channels)

    products = torch.bmm(tiles, weight).view(6, -1)
    found = torch.matmul(OUTPUT, torch.mm(OUTPUT, products).view(TILE, 6, -1))
    found = found.view(TILE, TILE, down, across, made).permute(2, 1, 3, 0, 4)
    found = found.reshape(1, TILE * down, TILE * across, made)[:, :height, :width]
    return found.permute(0, 3, 1, 2)


class WinogradConv2d(FusedConv2d):
    """A convolution that :func:`suits`, computed so where the map is large enough."""

    def fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False, act: nn.Module | None = None) -> Tensor:
        tiles = -(-x.shape[2] // TILE) * -(-x.shape[3] // TILE)
        if tiles < LEAST_TILES or x.dtype != torch.float32 or self.is_plain(x, add):
            return super().fused(x, add, relu, act)
        weight = self.packed("winograd", lambda: transformed(self.weight))
        found = torch.cat([winograd(image, weight) for image in x.split(1)])
        if self.bias is not None:
            found = found + self.bias[:, None, None]
        return finished(found.contiguous(memory_format=torch.channels_last), add, RELU if relu else act)
