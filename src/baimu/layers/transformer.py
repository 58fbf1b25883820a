"""Transformer encoder and decoder with positions in every layer, as DETR's family uses them (2005.12872 A.3).

Positions are added to queries and keys of each attention and never to values; norms follow the sums (post-norm).
Dims: B images, S places of the map, Q object queries, C channels.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from baimu.layers.attention import Attention, FeedForward


class EncoderLayer(nn.Module):
    """Self-attention and a perceptron, each around a shortcut with its norm."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout)
        self.norm1 = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, hidden, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor, valid: Tensor | None) -> Tensor:
        """Places (B, S, C) and their positions (B, S, C) → places."""
        placed = x + positions
        x = self.norm1(x + self.dropout(self.attention(placed, placed, x, valid)))
        return self.norm2(x + self.dropout(self.feedforward(x)))


class DecoderLayer(nn.Module):
    """Self-attention of the queries, attention to the map, a perceptron, each around a shortcut with its norm."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, hidden, dropout=dropout)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, memory: Tensor, valid: Tensor | None) -> Tensor:
        """States, their queries (B, Q, C), ``memory`` and ``keys`` (it with positions, B, S, C) → states."""
        placed = x + queries
        x = self.norm1(x + self.dropout(self.attention(placed, placed, x)))
        x = self.norm2(x + self.dropout(self.cross_attention(x + queries, keys, memory, valid)))
        return self.norm3(x + self.dropout(self.feedforward(x)))


class Encoder(nn.Module):
    """``depth`` encoder layers: every place of the map learns of every other."""

    def __init__(
        self, width: int = 256, depth: int = 6, *, heads: int = 8, hidden: int = 2048, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(depth))

    def forward(
        self, x: Float[Tensor, "b s c"], positions: Float[Tensor, "b s c"], valid: Bool[Tensor, "b s"] | None = None
    ) -> Float[Tensor, "b s c"]:
        """The map's places after the last layer; what they say where not ``valid`` is meaningless."""
        for layer in self.layers:
            x = layer(x, positions, valid)
        return x


class Decoder(nn.Module):
    """``depth`` decoder layers with one norm behind each of them: all their answers are wanted."""

    def __init__(
        self, width: int = 256, depth: int = 6, *, heads: int = 8, hidden: int = 2048, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        queries: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b s c"],
        positions: Float[Tensor, "b s c"],
        valid: Bool[Tensor, "b s"] | None = None,
    ) -> list[Float[Tensor, "b q c"]]:
        """The normed state of each query after each layer, from zero on; ``queries`` are its learned position."""
        x, keys = queries.new_zeros(queries.shape), memory + positions
        states = []
        for layer in self.layers:
            x = layer(x, queries, keys, memory, valid)
            states.append(self.norm(x))
        return states
