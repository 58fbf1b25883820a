"""How near made images are to real ones, without a network: the sliced Wasserstein distance of their patches
(1710.10196 §5). Coarse levels of a Laplacian pyramid tell colours and shapes, fine ones texture.

Unlike in the paper, which brings each set of patches to mean 0 and deviation 1 of its own and so cannot see colours or
contrast, both sets are scaled as the real ones are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

PATCH = 7  # pixels of a patch's side
LEVELS = 3
A_IMAGE = 128  # patches an image and level
DIRECTIONS = 512
BLUR = np.array([1, 4, 6, 4, 1]) / 16


def sliced_wasserstein(made: Sequence[np.ndarray], real: Sequence[np.ndarray], *, seed: int = 0) -> float:
    """The mean distance of patches along random directions, over the levels; 0 of equal sets.

    Images (H, W, 3) uint8, all of one size; the first images of the larger set are taken. A function of the images and
    ``seed`` alone. Raises ``ValueError`` without images, or for some smaller than a patch.
    """
    count = min(len(made), len(real))
    if not count or min(made[0].shape[:2]) < PATCH:
        raise ValueError(f"patches of {PATCH} pixels need images as large, of each kind one at least")
    rng = np.random.default_rng(seed)
    distances = []
    levels = zip(pyramid(made[:count]), pyramid(real[:count]), strict=True)
    for level, (own, true) in enumerate(levels):
        # from the same places of both, so that equal sets are at no distance
        patches, truth = (_patches(maps, np.random.default_rng([seed, level])) for maps in (own, true))
        channels = truth.reshape(-1, true.shape[1])
        middle, spread = channels.mean(0), channels.std(0).clip(0.1)  # grey levels, for flat ones
        patches, truth = (((p - middle) / spread).reshape(len(p), -1) for p in (patches, truth))
        directions = rng.standard_normal((patches.shape[1], DIRECTIONS))
        directions /= np.linalg.norm(directions, axis=0)
        distances.append(np.abs(np.sort(patches @ directions, 0) - np.sort(truth @ directions, 0)).mean())
    return float(np.mean(distances))


def pyramid(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Levels (N, 3, h, w) float32, fine to coarse: what each has beyond the next, and the last itself."""
    maps = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2)).float()
    levels = []
    while len(levels) < LEVELS - 1 and min(maps.shape[2:]) >= 2 * PATCH:
        kernel = torch.from_numpy(np.outer(BLUR, BLUR)).to(maps).expand(maps.shape[1], 1, 5, 5)
        smaller = F.conv2d(F.pad(maps, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=maps.shape[1])
        larger = F.interpolate(smaller, size=maps.shape[2:], mode="bilinear", align_corners=False)
        levels.append((maps - larger).numpy())
        maps = smaller
    return [*levels, maps.numpy()]


def _patches(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random patches (N x 128, 7, 7, C) float64."""
    count, _, height, width = level.shape
    images = np.repeat(np.arange(count), A_IMAGE)[:, None, None]
    tops, lefts = (rng.integers(side - PATCH + 1, size=len(images)) for side in (height, width))
    rows, columns = tops[:, None] + np.arange(PATCH), lefts[:, None] + np.arange(PATCH)
    return level.transpose(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]].astype(np.float64)
