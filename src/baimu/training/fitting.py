"""A classifier's published recipe is for ImageNet, a million photographs; here it is fitted to fewer and smaller ones.

What the user changes comes after this and stays. The figures are those usual for networks of this size; they have
not been tuned on any data set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from baimu.datasets.source import ClassificationSource, Splits
from baimu.recipes import Recipe

LOOKED_AT = 1000
"""So many images' sizes say how large a data set's images are."""

FEW = 200_000
"""From this many images on, the published length and optimiser stay."""

SEEN = 200_000
"""Images that a training on few shows altogether, within ``EPOCHS``."""

EPOCHS = (10, 40)


def sides(source: ClassificationSource) -> np.ndarray:
    """The shorter sides of some images, evenly spaced over ``source``, in pixels."""
    chosen = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).round().astype(int)).tolist()
    return np.array([min(source.size(i)) for i in chosen])


def fitted(recipe: Recipe, splits: Splits[ClassificationSource], *, scratch: bool) -> Recipe:
    """``recipe`` for training on ``splits``.

    From ``scratch``, images smaller than the recipe's are not enlarged: up to 64 pixels they stay as they are and are
    shifted by up to an eighth, above that crops are of the next lower multiple of 32. Below 200,000 images AdamW learns
    along a cosine for 10 to 40 epochs, with less strong crops and, of one label an image, smoothed labels; trained
    weights at a tenth of the rate. Where the processor multiplies bfloat16 matrices itself, they are.
    """
    changes: dict[str, Any] = {}
    if len(splits.train) < FEW:
        changes |= _length(len(splits.train), len(splits.val), scratch=scratch)
        changes["label_smoothing"] = 0.0 if splits.train.multi_label else 0.1
    if scratch:
        changes |= _sizes(recipe, int(np.median(sides(splits.train))))
    if _fast_bf16():
        changes["precision"] = "bf16"
    return recipe.replace(**changes)


def _sizes(recipe: Recipe, side: int) -> dict[str, Any]:
    if side >= recipe.size:
        return {}
    if side <= 64:
        return {"size": side, "crop_share": 1.0, "crop_area": (1.0, 1.0), "crop_padding": side // 8}
    size = side // 32 * 32
    return {"size": size, "crop_share": max(size / side, recipe.crop_share)}


def _length(count: int, held_out: int, *, scratch: bool) -> dict[str, Any]:
    shortest, longest = EPOCHS
    return {
        "epochs": min(longest, max(shortest, round(SEEN / count))),
        "eval_every": min(shortest, max(1, math.ceil(4 * held_out / count))),  # at most about a tenth of the time
        "batch_size": 64 if count >= 5000 else 32,
        "optimizer": "adamw",
        "lr": 1e-3 if scratch else 1e-4,
        "lr_batch_size": None,
        "momentum": None,
        "square_momentum": None,
        "optimizer_eps": None,
        "weight_decay": 0.05,
        "norm_decay": False,
        "bias_decay": False,
        "schedule": "cosine",
        "warmup": "linear",
        "warmup_start": 0.01,
        "warmup_steps": 500,
        "crop_area": (0.35, 1.0),
        "ema_decay": 0.0,
    }


def _fast_bf16() -> bool:
    """Whether this machine's units for matrices take bfloat16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported()
