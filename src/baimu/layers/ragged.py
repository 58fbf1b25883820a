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


@torch.library.custom_op("baimu::lstm", mutates_args=(), schema="(Tensor sequence, Tensor[] weights) -> Tensor")
def _lstm(sequence: Tensor, weights: list[Tensor]) -> Tensor:
    state = sequence.new_zeros(1, sequence.shape[0], weights[1].shape[1])
    return torch.lstm(sequence, (state, state), weights, True, 1, 0.0, False, False, True)[0].contiguous()


@_lstm.register_fake
def _(sequence: Tensor, weights: list[Tensor]) -> Tensor:
    return sequence.new_empty(*sequence.shape[:2], weights[1].shape[1])


def run_lstm(lstm: nn.LSTM, sequence: Float[Tensor, "b t c"]) -> Float[Tensor, "b t d"]:
    """The states of an LSTM of one layer and direction.

    Without gradients it is one operator, ``baimu::lstm``, to whatever makes a graph of a model, however long the
    sequence; torch's own is unrolled to the length of the example.
    """
    if torch.is_grad_enabled():
        return lstm(sequence)[0]
    return _lstm(sequence, [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0])


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
        ahead = run_lstm(self.ahead, sequence)
        back = run_lstm(self.back, reversed_within(sequence, lengths))
        return self.linear(torch.cat([ahead, reversed_within(back, lengths)], 2))
