"""Sequences of unequal length: the BiLSTM equals torch's on packed sequences, and what is padding has no say."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from baimu.layers.ragged import BiLSTM, keep_columns, reversed_within

LENGTHS = torch.tensor([7, 3, 5])


def test_reversed_within_its_length() -> None:
    rows = torch.arange(2 * 4.0).reshape(2, 4, 1)
    assert reversed_within(rows, torch.tensor([4, 2])).flatten().tolist() == [3, 2, 1, 0, 5, 4, 6, 7]
    assert reversed_within(rows, None).flatten().tolist() == [3, 2, 1, 0, 7, 6, 5, 4]
    again = reversed_within(reversed_within(rows, torch.tensor([3, 1])), torch.tensor([3, 1]))
    assert torch.equal(again, rows)


def test_columns_beyond_the_width_are_zero() -> None:
    maps = torch.ones(2, 3, 4, 5)
    kept = keep_columns(maps, torch.tensor([2, 5]))
    assert kept[0].sum(0).sum(0).tolist() == [12, 12, 0, 0, 0]
    assert torch.equal(kept[1], maps[1])
    assert keep_columns(maps, None) is maps


def torchs(layer: BiLSTM) -> nn.LSTM:
    """The same parameters in a bidirectional LSTM of torch."""
    other = nn.LSTM(layer.ahead.input_size, layer.ahead.hidden_size, bidirectional=True, batch_first=True)
    state = dict(layer.ahead.state_dict())
    state |= {f"{name}_reverse": value for name, value in layer.back.state_dict().items()}
    other.load_state_dict(state)
    return other


def test_equals_torch_on_packed_sequences() -> None:
    torch.manual_seed(0)
    layer, x = BiLSTM(4, 6, 5), torch.randn(3, 7, 4, requires_grad=True)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    expected = layer.linear(pad_packed_sequence(torchs(layer)(packed)[0], batch_first=True)[0])
    found = layer(x, LENGTHS)
    valid = torch.arange(7) < LENGTHS[:, None]
    torch.testing.assert_close(found[valid], expected[valid])
    a, b = (torch.autograd.grad(y[valid].square().sum(), x)[0] for y in (found, expected))
    torch.testing.assert_close(a, b)


def test_without_lengths_all_steps_count() -> None:
    torch.manual_seed(0)
    layer, x = BiLSTM(4, 6, 5), torch.randn(2, 7, 4)
    torch.testing.assert_close(layer(x), layer(x, torch.tensor([7, 7])))
    torch.testing.assert_close(layer(x), layer.linear(torchs(layer)(x)[0]))
