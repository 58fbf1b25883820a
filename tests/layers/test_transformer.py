"""Encoder and decoder equal torch's where those can be asked, and positions go where the paper says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baimu.layers.transformer import Decoder, Encoder

WIDTH, HEADS, HIDDEN = 16, 2, 24
NAMES = (
    ("cross_attention", "multihead_attn"),
    ("attention", "self_attn"),
    ("feedforward.up", "linear1"),
    ("feedforward.down", "linear2"),
)


def theirs_from(ours: nn.Module) -> dict[str, Tensor]:
    state = {}
    for key, value in ours.state_dict().items():
        for own, name in NAMES:
            key = key.replace(own, name)
        state[key] = value
    return state


def stack(kind: type[Encoder] | type[Decoder], depth: int = 2) -> Encoder | Decoder:
    torch.manual_seed(0)
    made = kind(WIDTH, depth, heads=HEADS, hidden=HIDDEN, dropout=0.0)
    for parameter in made.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    return made


def rows(count: int, seed: int = 1) -> Tensor:
    return torch.randn(2, count, WIDTH, generator=torch.Generator().manual_seed(seed))


VALID = torch.tensor([[True] * 6, [True, True, False, True, False, False]])


def test_the_encoder_without_positions_is_torchs() -> None:
    ours = stack(Encoder)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    theirs.load_state_dict(theirs_from(ours))
    found = ours(rows(6), torch.zeros(2, 6, WIDTH), VALID)
    expected = theirs(rows(6), src_key_padding_mask=~VALID)
    torch.testing.assert_close(found[VALID], expected[VALID])


def test_the_decoder_without_positions_is_torchs() -> None:
    """Queries are a position and nothing else, so that only a state of zero can be asked of torch's."""
    ours = stack(Decoder)
    layer = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True)
    theirs = nn.TransformerDecoder(layer, 2, norm=nn.LayerNorm(WIDTH))
    theirs.load_state_dict(theirs_from(ours))
    zero = torch.zeros(2, 3, WIDTH)
    found = ours(zero, rows(6), torch.zeros(2, 6, WIDTH), VALID)
    assert len(found) == 2
    torch.testing.assert_close(found[-1], theirs(zero, rows(6), memory_key_padding_mask=~VALID))


def test_every_layers_state_is_that_of_a_shorter_decoder() -> None:
    ours = stack(Decoder, depth=3)
    given = (rows(3), rows(6, 2), rows(6, 3), VALID)
    states = ours(*given)
    for depth in (1, 2):
        short = stack(Decoder, depth=depth)
        short.load_state_dict({k: v for k, v in ours.state_dict().items() if k in short.state_dict()})
        torch.testing.assert_close(short(*given)[-1], states[depth - 1])


def test_a_layer_of_the_decoder_is_the_papers_figure() -> None:
    """Positions are added to queries and keys, object queries to queries (and keys of the first), values stay bare."""
    decoder = stack(Decoder, depth=1)
    layer = decoder.layers[0]
    queries, memory, positions = rows(3), rows(6, 2), rows(6, 3)
    x = torch.zeros(2, 3, WIDTH)
    x = layer.norm1(x + layer.attention(x + queries, x + queries, x))
    x = layer.norm2(x + layer.cross_attention(x + queries, memory + positions, memory, VALID))
    x = layer.norm3(x + layer.feedforward(x))
    torch.testing.assert_close(decoder(queries, memory, positions, VALID)[0], decoder.norm(x))


def test_a_layer_of_the_encoder_is_the_papers_figure() -> None:
    encoder = stack(Encoder, depth=1)
    layer = encoder.layers[0]
    x, positions = rows(6), rows(6, 3)
    y = layer.norm1(x + layer.attention(x + positions, x + positions, x, VALID))
    y = layer.norm2(y + layer.feedforward(y))
    torch.testing.assert_close(encoder(x, positions, VALID), y)


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_padded_places_do_not_reach_the_others(kind: type) -> None:
    made = stack(kind)
    for filling in (0.0, 50.0):
        places = rows(6, 2).masked_fill(~VALID[..., None], filling)
        found = made(places, rows(6, 3), VALID) if kind is Encoder else made(rows(3), places, rows(6, 3), VALID)[-1]
        found = found[VALID] if kind is Encoder else found
        expected = found if filling == 0 else expected
        torch.testing.assert_close(found, expected)
