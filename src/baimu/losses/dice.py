"""V-Net: Fully Convolutional Neural Networks for Volumetric Segmentation (Milletari, Navab, Ahmadi 2016),
arXiv 1606.04797: what two sets have in common, of all that they have, so that a small set weighs as much as a large."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def dice_loss(
    prediction: Float[Tensor, "n m"], target: Float[Tensor, "n m"], eps: float = 1e-3, *, squared: bool = True
) -> Float[Tensor, " n"]:
    """``1 − 2 Σ p t / (Σ p² + Σ t²)`` of each row, in 0…1 (§3); both are shares in 0…1.

    ``squared=False`` sums p and t themselves, as most later papers do. ``eps`` is added to each of the two sums below
    the line (not squared: to both sides of it, so that nothing found where nothing is costs 0).
    """
    p, t = prediction.float(), target.float()
    common = (p * t).sum(1)
    if squared:
        return 1 - 2 * common / (p.square().sum(1) + t.square().sum(1) + 2 * eps)
    return 1 - (2 * common + eps) / (p.sum(1) + t.sum(1) + eps)
