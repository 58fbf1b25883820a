"""Cross entropies, elementwise, in float32."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def cross_entropy_loss(
    logits: Float[Tensor, "n k"], target: Int[Tensor, " n"], smoothing: float = 0.0
) -> Float[Tensor, " n"]:
    """Softmax cross entropy of each row; ``smoothing`` moves that share of the target to all K classes evenly."""
    return F.cross_entropy(logits.float(), target, reduction="none", label_smoothing=smoothing)


def binary_cross_entropy_loss(logits: Float[Tensor, "*n"], target: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Sigmoid cross entropy of each logit; ``target`` in 0…1."""
    return F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
