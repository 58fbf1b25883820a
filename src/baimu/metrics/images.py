"""How near images are to what they should be: PSNR and SSIM, by the conventions of super-resolution.

Images are RGB uint8 (H, W, 3), or planes (H, W) of floats in 0…255. ``luma`` compares what the eye calls brightness
(BT.601's Y in 16…235, as MATLAB's ``rgb2ycbcr`` has it); ``border`` pixels at each side are left out, as many as the
scale in super-resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

PEAK = 255.0
SIGMA, WINDOW = 1.5, 11  # of SSIM's Gaussian, and its side in pixels (Wang et al. 2004, §III.B)
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def luma(image: np.ndarray) -> np.ndarray:
    """Y of BT.601, (H, W) float64 in 16…235, of RGB in 0…255."""
    return 16 + image.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / PEAK


def psnr(made: np.ndarray, truth: np.ndarray, *, border: int = 0) -> float:
    """``10 log10(255² / mean squared error)`` in dB over all pixels and channels; infinite of equal images."""
    made, truth = _compared(made, truth, border)
    error = np.mean((made - truth) ** 2)
    return math.inf if error == 0 else float(10 * np.log10(PEAK**2 / error))


def ssim(made: np.ndarray, truth: np.ndarray, *, border: int = 0) -> float:
    """Structural similarity, 1 of equal images: the mean over channels and all pixels whose 11 x 11 window lies inside
    (Wang et al. 2004, Eq. 13). Raises ``ValueError`` for images smaller than that window."""
    made, truth = _compared(made, truth, border)
    if min(made.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM looks at windows of {WINDOW} pixels; the images are {made.shape[1]}x{made.shape[0]}")
    planes = (
        [(made, truth)] if made.ndim == 2 else list(zip(np.moveaxis(made, 2, 0), np.moveaxis(truth, 2, 0), strict=True))
    )
    return float(np.mean([_ssim(one, other) for one, other in planes]))


def _ssim(x: np.ndarray, y: np.ndarray) -> float:
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    both = _blurred(x * y) - mean_x * mean_y
    like = (2 * mean_x * mean_y + C1) * (2 * both + C2)
    found = like / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))
    return float(found.mean())


def _blurred(plane: np.ndarray) -> np.ndarray:
    """By the Gaussian window, where it lies inside: (H − 10, W − 10)."""
    half = WINDOW // 2
    blurred = ndimage.gaussian_filter(plane, SIGMA, truncate=half / SIGMA)
    return blurred[half:-half, half:-half]


def _compared(made: np.ndarray, truth: np.ndarray, border: int) -> tuple[np.ndarray, np.ndarray]:
    if made.shape != truth.shape:
        raise ValueError(f"images of two sizes cannot be compared: {made.shape} and {truth.shape}")
    if 2 * border >= min(made.shape[:2]):
        raise ValueError(f"nothing is left of {made.shape[1]}x{made.shape[0]} pixels without {border} at each side")
    inner = (slice(border, made.shape[0] - border), slice(border, made.shape[1] - border))
    return made[inner].astype(np.float64), truth[inner].astype(np.float64)


@dataclass(frozen=True)
class ImageScores:
    """Figures of a whole data set, and of each image where they are of single images.

    ``headline`` figures are for the log, by name, the first of which decides; ``rows`` one a image, for the table.
    """

    headline: dict[str, float]
    names: tuple[str, ...] = ()
    rows: tuple[dict[str, float], ...] = ()

    def figures(self) -> dict[str, float]:
        return dict(self.headline)

    def table(self) -> list[dict[str, str | float]]:
        """One row an image, the worst first by the first figure."""
        rows = [{"image": name, **row} for name, row in zip(self.names, self.rows, strict=True)]
        first = next(iter(self.headline))
        return sorted(rows, key=lambda row: row.get(first, 0.0))

    def to_dict(self) -> dict[str, object]:
        return {**self.headline, "images": self.table()}

    def __str__(self) -> str:
        width = max(map(len, self.headline))
        lines = [f"{name:<{width}}  {value:.4f}" for name, value in self.headline.items()]
        return "\n".join(lines)


def mean_scores(names: Sequence[str], rows: Sequence[dict[str, float]]) -> ImageScores:
    """The means of the figures of each image. An infinite PSNR makes an infinite mean: equal images are told so."""
    headline = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} if rows else {}
    return ImageScores(headline, tuple(names), tuple(rows))
