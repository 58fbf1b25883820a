"""Inputs that can be made of any photograph: its luma, and its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in what the eye calls bright (BT.601)."""


def grey(image: np.ndarray) -> np.ndarray:
    """The luma of an RGB image (H, W, 3) uint8, in three equal channels."""
    luma = (image @ LUMA + 0.5).astype(np.uint8)
    return np.repeat(luma[:, :, None], 3, 2)


def edges(image: np.ndarray, sigma: float = 1.4, low: float = 0.1, high: float = 0.2) -> np.ndarray:
    """Canny's edges of an image (H, W, 3) uint8, black lines one pixel wide on white, as a drawing (H, W, 3) uint8.

    (IEEE PAMI 1986.) The luma in 0…1 is smoothed with ``sigma`` pixels; where its slope, by Sobel's filter, is the
    steepest along its own direction and above ``low``, there is an edge if one above ``high`` is connected with it.
    Small images get less smoothing: at most a twentieth of the shorter side.
    """
    luma = (image @ LUMA) / np.float32(255)
    smooth = ndimage.gaussian_filter(luma, min(sigma, min(luma.shape) / 20), mode="nearest")
    down, across = ndimage.sobel(smooth, axis=0, mode="nearest"), ndimage.sobel(smooth, axis=1, mode="nearest")
    slope = np.hypot(down, across)
    steepest = _steepest(slope, down, across)
    weak = steepest & (slope > low)
    labelled: Any = ndimage.label(weak, np.ones((3, 3)))
    pieces = labelled[0]
    strong = np.unique(pieces[steepest & (slope > high)])
    drawn = np.isin(pieces, strong[strong > 0])
    return np.repeat(np.where(drawn, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


def _steepest(slope: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(H, W) bool: steeper than its two neighbours along the gradient, which lie between pixels; of two equal ones the
    later."""
    length = np.maximum(np.maximum(np.abs(down), np.abs(across)), 1e-12)
    rows, columns = np.meshgrid(*map(np.arange, slope.shape), indexing="ij")
    step_down, step_across = down / length, across / length
    before, after = (
        ndimage.map_coordinates(slope, (rows + s * step_down, columns + s * step_across), order=1, mode="nearest")
        for s in (-1, 1)
    )
    return (slope > before) & (slope >= after) & (slope > 0)
