"""What the trackers' golden files were made of, by the rules of their README."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baimu.tracking.siamese import Window

EXEMPLARS = np.random.RandomState(0).standard_normal((2, 3, 127, 127)).astype(np.float32) * np.float32(50) + np.float32(
    120
)


def pair() -> tuple[Tensor, Tensor]:
    """Exemplars (2, 3, 127, 127) and search images (2, 3, 255, 255) in which they were pasted."""
    search = np.random.RandomState(1).standard_normal((2, 3, 255, 255)).astype(np.float32) * np.float32(
        50
    ) + np.float32(120)
    for i, (top, left) in enumerate(((72, 40), (56, 80))):
        search[i, :, top : top + 127, left : left + 127] = EXEMPLARS[i]
    return torch.from_numpy(EXEMPLARS), torch.from_numpy(search)


def picture(height: int, width: int, dx: float = 0, dy: float = 0, zoom: float = 1) -> np.ndarray:
    """A frame (H, W, 3) uint8 of waves."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = (x - width / 2) / zoom + width / 2 - dx, (y - height / 2) / zoom + height / 2 - dy
    channels = [
        127.5
        + 50 * np.sin(x / (7 + 2 * c) + c)
        + 40 * np.cos(y / (9 - 2 * c) - x / 31)
        + 30 * np.sin(x * y / 900 + 2 * c)
        for c in range(3)
    ]
    return np.floor(np.clip(np.stack(channels, -1), 0, 255)).astype(np.uint8)


def opencv_resize(image: np.ndarray, size: int) -> np.ndarray:
    """OpenCV's bilinear resize of uint8 (h, w, 3), in whole numbers: weights in 1/2048, sums shifted as it does."""

    def places(old: int, at_edge: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = ((np.arange(size) + 0.5) * (old / size) - 0.5).astype(np.float32)
        low = np.floor(at).astype(int)
        share = at - low
        if at_edge:  # across, what lies outside has no weight; down, it is the outermost row, with its own rounding
            share[(low < 0) | (low >= old - 1)] = 0
            low = low.clip(0, old - 1)
        weights = np.stack([np.rint((1 - share) * 2048), np.rint(share * 2048)]).astype(np.int64)
        return low.clip(0, old - 1), (low + 1).clip(0, old - 1), weights

    left, right, across = places(image.shape[1], True)
    top, bottom, down = places(image.shape[0], False)
    rows = image[:, left] * across[0][:, None] + image[:, right] * across[1][:, None]
    upper = (down[0][:, None, None] * (rows[top] >> 4)) >> 16
    lower = (down[1][:, None, None] * (rows[bottom] >> 4)) >> 16
    return ((upper + lower + 2) >> 2).clip(0, 255).astype(np.uint8)


def opencv_crop(frame: np.ndarray, window: Window, size: int, fill: np.ndarray) -> Tensor:
    """What :func:`baimu.tracking.siamese.crop` is to give, with OpenCV's rounding."""
    reach = max(frame.shape) + max(window.width, window.height)
    padded = np.empty((frame.shape[0] + 2 * reach, frame.shape[1] + 2 * reach, 3), np.uint8)
    padded[:] = fill
    padded[reach:-reach, reach:-reach] = frame
    patch = padded[reach + window.top :, reach + window.left :][: window.height, : window.width]
    if window.width != size:
        patch = opencv_resize(patch, size)
    return torch.from_numpy(np.ascontiguousarray(patch.transpose(2, 0, 1)))
