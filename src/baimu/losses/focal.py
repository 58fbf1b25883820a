"""Focal loss (Lin et al. 2017, 1708.02002)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


class _SigmoidFocal(torch.autograd.Function):
    """Loss and derivative in one pass over the logits: a detector has millions of them.

    With s = −x for positives and x for negatives, q = sigmoid(s) is one minus the probability of the truth:
    loss = a q^g softplus(s), and d loss / ds = a q^g (g (1 − q) softplus(s) + q).
    """

    @staticmethod
    def forward(ctx, logits: Tensor, positive: Tensor, alpha: float, gamma: float) -> Tensor:
        x = logits.float()
        s = torch.where(positive, -x, x)
        q = s.sigmoid()
        nll = F.softplus(s)
        weight = q.square() if gamma == 2 else q.pow(gamma)
        weight.mul_(torch.where(positive, alpha, 1 - alpha))
        if logits.requires_grad:
            slope = (1 - q).mul_(nll).mul_(gamma).add_(q).mul_(weight)
            ctx.save_for_backward(torch.where(positive, -slope, slope))
        return weight.mul_(nll)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None, None


def sigmoid_focal_loss(
    logits: Float[Tensor, "*n"], target: Bool[Tensor, "*n"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "*n"]:
    """``−alpha_t (1 − p_t)^gamma log p_t`` of each logit, float32 (Eq. 5); ``target`` is true on positives.

    ``alpha`` weighs positives, ``1 − alpha`` negatives.
    """
    return _SigmoidFocal.apply(logits, target, alpha, gamma)
