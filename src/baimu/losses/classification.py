"""Cross entropies and focal losses of classes, one value a row or a logit, in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from baimu.losses.focal import sigmoid_focal_loss


def cross_entropy_loss(
    logits: Float[Tensor, "n k"], target: Int[Tensor, " n"], smoothing: float = 0.0
) -> Float[Tensor, " n"]:
    """Softmax cross entropy of each row; ``smoothing`` moves that share of the target to all K classes evenly."""
    return F.cross_entropy(logits.float(), target, reduction="none", label_smoothing=smoothing)


def soft_cross_entropy_loss(
    logits: Float[Tensor, "n k"], shares: Float[Tensor, "n k"], weight: Float[Tensor, " k"] | None = None
) -> Float[Tensor, " n"]:
    """Softmax cross entropy of each row with ``shares``, a distribution over the K classes, each of ``weight`` 1."""
    weight = None if weight is None else weight.to(logits.device, logits.float().dtype)
    return F.cross_entropy(logits.float(), shares.float(), weight, reduction="none")


def softmax_focal_loss(
    logits: Float[Tensor, "n k"],
    shares: Float[Tensor, "n k"],
    gamma: float = 2.0,
    weight: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, " n"]:
    """``−Σ weight share (1 − p)^gamma log p`` of each row: focal loss (1708.02002) over classes that exclude another.

    ``gamma`` 0 is :func:`soft_cross_entropy_loss`. The paper has it for sigmoids only.
    """
    log_p = logits.float().log_softmax(1)
    doubt = -log_p.expm1()  # 1 − p without its rounding where p is almost 1
    if weight is not None:
        shares = shares * weight.to(shares)
    return -(shares * doubt.clamp(min=1e-12) ** gamma * log_p).sum(1)


def binary_cross_entropy_loss(
    logits: Float[Tensor, "*n"], target: Float[Tensor, "*n"], pos_weight: Float[Tensor, " k"] | None = None
) -> Float[Tensor, "*n"]:
    """Sigmoid cross entropy of each logit; ``target`` in 0…1. ``pos_weight`` weighs the positives of each of the K
    classes, the last axis: negatives over positives of the data make both count alike."""
    weight = None if pos_weight is None else pos_weight.to(logits.device, logits.float().dtype)
    return F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none", pos_weight=weight)


def binary_focal_loss(
    logits: Float[Tensor, "*n"], target: Float[Tensor, "*n"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "*n"]:
    """:func:`~baimu.losses.focal.sigmoid_focal_loss` for targets in 0…1: the mean of both answers, weighed by them."""
    yes = sigmoid_focal_loss(logits, torch.ones_like(target, dtype=torch.bool), alpha, gamma)
    no = sigmoid_focal_loss(logits, torch.zeros_like(target, dtype=torch.bool), alpha, gamma)
    return target * yes + (1 - target) * no
