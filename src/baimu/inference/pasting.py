"""From a network's masks, on a small grid over each box, to packed masks in the pixels of the source."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baimu.masks import Masks
from baimu.ops.masks import mask_changes, paste_masks

_CHUNK = 1 << 28
"""Pixels of pasted masks held at a time: 256 MiB, or some twenty objects of a photo of 12 megapixels."""


def paste_packed(masks: Tensor, boxes: np.ndarray, size: tuple[int, int]) -> Masks:
    """:func:`~baimu.ops.masks.paste_masks` of probabilities (n, S, S), on any device, into ``boxes`` (n, 4) xyxy of an
    image of ``size`` (height, width), packed part by part: what is held is bounded, whatever n and the image."""
    counts: list[str] = []
    step = max(1, _CHUNK // max(1, size[0] * size[1]))
    corners = torch.from_numpy(boxes).to(masks.device)
    for mask, corner in zip(masks.split(step), corners.split(step), strict=True):
        pasted = paste_masks(mask, corner, size)
        if pasted.device.type == "cpu":
            packed = Masks.of(pasted.numpy())
        else:  # the few places where they begin and end come to the host, not all pixels
            packed = Masks.from_changes(mask_changes(pasted).cpu().numpy(), tuple(pasted.shape))
        counts += packed.counts
    return Masks(tuple(counts), size)
