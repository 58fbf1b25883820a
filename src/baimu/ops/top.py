"""The best of many."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Top(NamedTuple):
    """The highest of each row, the highest first, and where they were."""

    values: Float[Tensor, "b k"]
    indices: Int[Tensor, "b k"]


def top(scores: Float[Tensor, "b n"], limit: int) -> Top:
    """The ``limit`` highest of each row, or all where it has fewer."""
    return Top(*_topk(scores, limit))


@torch.jit.script_if_tracing  # a trace would keep the count of its example
def _topk(scores: torch.Tensor, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    values, indices = scores.topk(min(limit, scores.shape[1]))
    return values, indices
