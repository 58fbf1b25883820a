"""Attention equals torch's, with masks and three different inputs; what is masked has no influence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baimu.layers.attention import Attention, FeedForward

WIDTH, HEADS = 24, 4


def pair() -> tuple[Attention, nn.MultiheadAttention]:
    torch.manual_seed(0)
    ours, theirs = Attention(WIDTH, HEADS), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    nn.init.normal_(ours.in_proj_bias)
    nn.init.normal_(ours.out_proj.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def inputs(keys: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, n, WIDTH, generator=generator) for n in (5, keys, keys))  # pyright: ignore[reportReturnType]


VALID = torch.tensor([[True] * 7, [True, False, True, False, False, True, False]])


@pytest.mark.parametrize("valid", [None, VALID], ids=["all", "masked"])
def test_values_and_gradients_equal_torchs(valid: Tensor | None) -> None:
    ours, theirs = pair()
    found = ours(*inputs(), valid)
    expected, _ = theirs(*inputs(), key_padding_mask=None if valid is None else ~valid)
    torch.testing.assert_close(found, expected)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    found.backward(direction)
    expected.backward(direction)
    slopes = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, slopes[name].grad)


def test_it_is_the_papers_equation() -> None:
    """One head, as matrices: softmax(Q Kᵀ / √d) V."""
    layer = Attention(WIDTH, 1)
    query, key, value = (x[0] for x in inputs())
    w, b = layer.in_proj_weight.unflatten(0, (3, WIDTH)), layer.in_proj_bias.unflatten(0, (3, WIDTH))
    q, k, v = query @ w[0].T + b[0], key @ w[1].T + b[1], value @ w[2].T + b[2]
    expected = layer.out_proj((q @ k.T / WIDTH**0.5).softmax(1) @ v)
    torch.testing.assert_close(layer(query[None], key[None], value[None])[0], expected)


def test_masked_keys_have_no_influence() -> None:
    layer, _ = pair()
    query, key, value = inputs()
    hidden = ~VALID[..., None]
    expected = layer(query, key, value, VALID)
    assert torch.equal(layer(query, key.masked_fill(hidden, 1e4), value.masked_fill(hidden, -1e4), VALID), expected)
    torch.testing.assert_close(layer(query[1:], key[1:, VALID[1]], value[1:, VALID[1]]), expected[1:])


def test_dropout_is_for_training_only() -> None:
    layer = Attention(WIDTH, HEADS, dropout=0.5)
    assert not torch.equal(layer(*inputs()), layer(*inputs()))
    layer.eval()
    assert torch.equal(layer(*inputs()), layer(*inputs()))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width 24 and 5 heads"):
        Attention(24, 5)


def test_the_perceptron_is_two_layers_with_relu() -> None:
    layer = FeedForward(3, 8)
    x = torch.randn(2, 5, 3)
    hidden = (x @ layer.up.weight.T + layer.up.bias).clamp(min=0)
    torch.testing.assert_close(layer(x), hidden @ layer.down.weight.T + layer.down.bias)
