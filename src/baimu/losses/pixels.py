"""Cross entropy of pixels. Dims: B images, K classes, H x W pixels."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from baimu.targets import UNDECIDED


def pixel_cross_entropy_loss(
    logits: Float[Tensor, "b k h w"], labels: Integer[Tensor, "b h w"], weight: Float[Tensor, " k"] | None = None
) -> Float[Tensor, "b h w"]:
    """Softmax cross entropy of each pixel, times the ``weight`` of its class; 0 where the label is 255, undecided.

    The caller divides: by the pixels that are decided (torch), or by all of them (mmsegmentation).
    """
    weight = None if weight is None else weight.to(logits.device, logits.float().dtype)
    return F.cross_entropy(logits.float(), labels.long(), weight, ignore_index=UNDECIDED, reduction="none")
