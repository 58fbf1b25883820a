"""Lines and sequences of unequal length in one padded batch: each is computed as if it were alone."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def keep_columns(maps: Float[Tensor, "b c h w"], widths: Int[Tensor, " b"] | None) -> Float[Tensor, "b c h w"]:
    """The maps, zero right of their ``widths`` (None: the full one), as a convolution pads them."""
    if widths is None:
        return maps
    kept = torch.arange(maps.shape[3], device=maps.device) < widths[:, None]
    return maps * kept.to(maps.dtype)[:, None, None, :]


def reversed_within(sequence: Float[Tensor, "b t c"], lengths: Int[Tensor, " b"] | None) -> Float[Tensor, "b t c"]:
    """The first ``lengths`` steps (None: all) in reverse order; those beyond stay where they are."""
    if lengths is None:
        return sequence.flip(1)
    step = torch.arange(sequence.shape[1], device=sequence.device).expand(sequence.shape[:2])
    source = torch.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)
    return sequence.gather(1, source[:, :, None].expand_as(sequence))


class BiLSTM(nn.Module):
    """An LSTM in each direction and a linear layer on both their states: (B, T, C) → (B, T, ``out_channels``).

    The one that runs backwards begins at the end of each sequence, not at that of the batch, which
    ``nn.LSTM(bidirectional=True)`` does for packed sequences only.
    """

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(in_channels, hidden, batch_first=True)
        self.back = nn.LSTM(in_channels, hidden, batch_first=True)
        self.linear = nn.Linear(2 * hidden, out_channels)

    def forward(
        self, sequence: Float[Tensor, "b t c"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """Of a sequence the first ``lengths`` steps; what comes out beyond is of no meaning."""
        ahead, _ = self.ahead(sequence)
        back, _ = self.back(reversed_within(sequence, lengths))
        return self.linear(torch.cat([ahead, reversed_within(back, lengths)], 2))
