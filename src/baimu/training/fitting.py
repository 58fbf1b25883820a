"""A classifier's published recipe is for ImageNet, a million photographs; here it is fitted to fewer and smaller ones.

What the user changes comes after this and stays. The figures are those usual for networks of this size. Tried was what
six or seven epochs of ResNet-18 make of 20,000 images of Fashion-MNIST: a rate of 0.002 for 128 images, and shifts by
3 of 28 pixels (top-1 0.911) against none (0.926); a short training has no time for strong augmentation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from baimu.datasets.source import ClassificationSource, ImageSource, Splits
from baimu.recipes import Recipe

LOOKED_AT = 1000
"""So many images' sizes say how large a data set's images are."""

FEW = 200_000
"""From this many images on, the published length and optimiser stay."""

MANY = 5000
"""Images from which on batches are large, and the rate with them."""

SEEN = 200_000
"""Images that a training on few shows altogether, within ``EPOCHS``."""

EPOCHS = (10, 40)


def sides(source: ImageSource) -> np.ndarray:
    """The shorter sides of some images, evenly spaced over ``source``, in pixels."""
    chosen = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).round().astype(int)).tolist()
    return np.array([min(source.size(i)) for i in chosen])


def fitted(recipe: Recipe, splits: Splits[ClassificationSource], *, scratch: bool) -> Recipe:
    """``recipe`` for training on ``splits``.

    From ``scratch``, images smaller than the recipe's are not enlarged: up to 64 pixels they stay as they are and are
    shifted by up to a sixteenth, above that crops are of the next lower multiple of 32. Below 200,000 images AdamW
    learns along a cosine for 10 to 40 epochs, with less strong crops and, of one label an image, smoothed labels;
    trained weights at a tenth of the rate. From scratch that is too short for learned augmentation, erasing and mixing.
    Where the processor multiplies bfloat16 matrices itself, they are.
    """
    changes: dict[str, Any] = {}
    if len(splits.train) < FEW:
        changes |= _length(len(splits.train), len(splits.val), scratch=scratch)
        changes["label_smoothing"] = 0.0 if splits.train.multi_label else 0.1
        if scratch:
            changes |= {"auto_augment": None, "random_erasing": 0.0, "mixup_alpha": 0.0, "cutmix_alpha": 0.0}
    if scratch:
        changes |= _sizes(recipe, int(np.median(sides(splits.train))))
    if fast_bf16():
        changes["precision"] = "bf16"
    return recipe.replace(**changes)


def _sizes(recipe: Recipe, side: int) -> dict[str, Any]:
    if side >= recipe.size:
        return {}
    if side <= 64:
        return {"size": side, "crop_share": 1.0, "crop_area": (1.0, 1.0), "crop_padding": side // 16}
    size = side // 32 * 32
    return {"size": size, "crop_share": max(size / side, recipe.crop_share)}


def _length(count: int, held_out: int, *, scratch: bool) -> dict[str, Any]:
    shortest, longest = EPOCHS
    return {
        "epochs": min(longest, max(shortest, round(SEEN / count))),
        "eval_every": min(shortest, max(1, math.ceil(4 * held_out / count))),  # at most about a tenth of the time
        "batch_size": 128 if count >= MANY else 32,
        "optimizer": "adamw",
        "lr": (2e-3 if count >= MANY else 1e-3) * (1.0 if scratch else 0.1),
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
        "warmup_steps": 100,
        "crop_area": (0.35, 1.0),
        "ema_decay": 0.0,
    }


def fast_bf16() -> bool:
    """Whether this machine's units for matrices take bfloat16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported()
