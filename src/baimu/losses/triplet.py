"""Losses of distances: what belongs together must be nearer than what does not. Dims: N samples, D dimensions."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-12  # squared: the root's gradient stays finite where two features are the same


def pair_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Euclidean distance of each row of ``x`` to that of ``y``, in float32, at least 1e-6."""
    return (x.float() - y.float()).square().sum(1).clamp(min=LEAST).sqrt()


def triplet_loss(
    positive: Float[Tensor, " n"], negative: Float[Tensor, " n"], margin: float = 0.3
) -> Float[Tensor, " n"]:
    """``max(0, d⁺ − d⁻ + margin)`` of the distances to the same and to another identity (1503.03832 Eq. 2, without its
    squares, 1703.07737 Eq. 5)."""
    return (positive - negative + margin).clamp(min=0)


def soft_margin_triplet_loss(positive: Float[Tensor, " n"], negative: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """``log(1 + exp(d⁺ − d⁻))``: no margin to choose, and no triplet is ever done (1703.07737 §2)."""
    return F.softplus(positive - negative)


def center_loss(features: Float[Tensor, "n d"], centers: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Squared distance of each feature to the centre of its identity (Wen, Zhang, Li, Qiao, ECCV 2016, Eq. 2, twice
    that: reid-strong-baseline leaves out the half), in float32."""
    return (features.float() - centers.float()).square().sum(1)
