"""Batch-hard mining (Hermans, Beyer, Leibe 2017, arXiv 1703.07737 Eq. 5): of each sample the worst pairs of its batch.

Dims: B samples, D dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Hardest(NamedTuple):
    """Positions in the batch; where ``valid`` is false a sample lacks one of the two, and its entries mean nothing."""

    positive: Int[Tensor, " b"]  # the farthest of the same identity
    negative: Int[Tensor, " b"]  # the nearest of another
    valid: Bool[Tensor, " b"]


@torch.no_grad()
def mine_hardest(features: Float[Tensor, "b d"], ids: Int[Tensor, " b"]) -> Hardest:
    """By Euclidean distance, of equal ones the first. Ids below 0 are nobody's: such samples are in no pair."""
    features = features.float()
    square = features.square().sum(1)
    distance = square[:, None] + square - 2 * features @ features.T  # squared, which keeps the order
    known = ids >= 0
    together = (ids[:, None] == ids) & known & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    apart = (ids[:, None] != ids) & known & known[:, None]
    positive = distance.masked_fill(~together, -torch.inf).argmax(1)
    negative = distance.masked_fill(~apart, torch.inf).argmin(1)
    return Hardest(positive, negative, together.any(1) & apart.any(1))
