"""Attention and the two-layer perceptron of Attention Is All You Need (Vaswani et al. 2017), arXiv 1706.03762.

Dims: B images, Q queries, S keys, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from baimu.layers.fused import RELU, FusedLinear, Kernel, finish


class Attention(nn.Module):
    """Multi-head attention (§3.2) whose queries, keys and values are three inputs: a position may go to the first two
    and leave the third alone.

    The three projections are one parameter, in this order, as in ``nn.MultiheadAttention``. ``dropout`` falls on the
    attention weights in training.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"the width must be a multiple of the heads, got width {width} and {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.projections: nn.ModuleList | None = None  # of queries, keys and values, in a copy for inference
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Float[Tensor, "b q c"],
        key: Float[Tensor, "b s c"],
        value: Float[Tensor, "b s c"],
        valid: Bool[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, "b q c"]:
        """``softmax(Q Kᵀ / √d) V`` of each head, joined and projected; keys that are not ``valid`` get no weight.

        An image must have at least one valid key.
        """
        projected = self.project(query, key, value)
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in projected)
        mask = None if valid is None else valid[:, None, None]
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def project(self, *inputs: Float[Tensor, "b _ c"]) -> list[Float[Tensor, "b _ c"]]:
        """Queries, keys and values of their inputs."""
        if self.projections is not None:
            return [layer(x) for layer, x in zip(self.projections, inputs, strict=True)]
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        return [F.linear(x, weight, bias) for x, weight, bias in zip(inputs, weights, biases, strict=True)]

    def fuse(self, kernel: Kernel) -> None:
        """Project with :class:`FusedLinear` from now on: for inference only."""
        self.projections = nn.ModuleList()
        for weight, bias in zip(self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True):
            linear = nn.Linear(1, 1, device="meta")
            linear.out_features, linear.in_features = weight.shape
            linear.weight, linear.bias = (nn.Parameter(x.detach(), requires_grad=False) for x in (weight, bias))
            self.projections.append(FusedLinear(linear, kernel=kernel))
        del self.in_proj_weight, self.in_proj_bias


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them, on each row alone (§3.3)."""

    def __init__(self, width: int, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.up.weight)
        nn.init.xavier_uniform_(self.down.weight)

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        return self.down(self.dropout(finish(self.up, x, RELU)))
