"""Instance masks. Dims: N masks of H x W."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masks_to_boxes(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """Tight xyxy bounds in continuous pixels: pixel (x, y) covers [x, x+1] x [y, y+1]. An empty mask gives zeros."""
    count, height, width = masks.shape
    bounds = []
    for hit, length in ((masks.any(1), width), (masks.any(2), height)):
        place = torch.arange(length, device=masks.device).expand(count, -1)
        bounds.append((place.masked_fill(~hit, length).amin(1), place.masked_fill(~hit, -1).amax(1) + 1))
    (x1, x2), (y1, y2) = bounds
    return torch.stack([x1, y1, x2, y2], 1).float() * masks.flatten(1).any(1)[:, None]


def mask_iou(a: Bool[Tensor, "n h w"], b: Bool[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    """Pairwise IoU of masks by pixel counts, 0 where both are empty."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    overlap = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None, :] - overlap
    return overlap / union.clamp(min=1)
