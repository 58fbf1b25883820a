"""Anchor assignment by IoU (Faster R-CNN, 1506.01497 §3.1.2). Dims: B images, P priors, M objects."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baimu.ops.boxes import box_iou
from baimu.targets import Targets

BACKGROUND = -1
IGNORE = -2


@torch.no_grad()
def max_iou_assign(
    priors: Float[Tensor, "p 4"] | Float[Tensor, "b p 4"],
    targets: Targets,
    *,
    positive: float,
    negative: float,
    low_quality: Literal["no", "object", "prior"] = "no",
    min_positive: float = 0.0,
) -> Int[Tensor, "b p"]:
    """For each prior the index of its object, −1 background, −2 ignore.

    A prior takes the object it overlaps most (the first of equals): IoU >= ``positive`` makes it that object's,
    IoU < ``negative`` background, between them it is ignored. With ``low_quality="object"`` every object then takes
    *all* priors that tie for its best IoU, if that is >= ``min_positive`` (and > 0), a later object overwriting an
    earlier one. ``"prior"`` is torchvision's reading: those priors become positive for *their own* best object.
    """
    iou = box_iou(targets.boxes, priors)  # (B, M, P)
    iou.masked_fill_(~targets.valid[..., None], -1.0)
    best, owner = iou.max(1)
    index = torch.where(best >= positive, owner, IGNORE)
    index = torch.where(best < negative, BACKGROUND, index)
    if low_quality == "no":
        return index
    best_of_object = iou.amax(2, keepdim=True)
    ties = (iou == best_of_object) & (best_of_object >= min_positive) & (best_of_object > 0)
    if low_quality == "prior":
        return torch.where(ties.any(1), owner, index)
    order = torch.arange(1, iou.shape[1] + 1, device=iou.device, dtype=torch.int32)
    last = (ties * order[:, None]).amax(1).long()  # 0: no object wants this prior
    return torch.where(last > 0, last - 1, index)
