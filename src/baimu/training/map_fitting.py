"""A segmenter's published recipe is for thousands of street scenes or photographs on several GPUs; here it is fitted to
fewer and smaller images.

What the user changes comes after this and stays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from baimu.datasets.source import SegmentationSource, Splits
from baimu.recipes import Recipe
from baimu.training.fitting import fast_bf16, sides

FEW = 2000
"""From this many images on, the published length and optimiser stay."""

SEEN = 12_000
"""Images that a training on few shows altogether, within ``EPOCHS``."""

EPOCHS = (20, 100)
BATCH = 8


def fitted_maps(recipe: Recipe, splits: Splits[SegmentationSource], *, scratch: bool) -> Recipe:
    """``recipe`` for training on ``splits``.

    Images smaller than the recipe's are not enlarged, and crops are no larger than they are, in multiples of 32. Below
    2,000 images AdamW learns along a cosine for 20 to 100 epochs, with scales that vary less; from scratch hardly, and
    colours not at all: there is no time for it. Trained weights learn at a seventh of the rate. Where the processor
    multiplies bfloat16 matrices itself, they are.
    """
    changes: dict[str, Any] = {}
    side = int(np.median(sides(splits.train)))
    if side < recipe.size:
        size = max(32, side // 32 * 32)
        changes |= {"size": size, "max_size": max(size, min(recipe.max_size, 2 * size))}
        if recipe.train_crop is not None:
            changes["train_crop"] = tuple(min(crop, size) for crop in recipe.train_crop)
    if len(splits.train) < FEW:
        changes |= _length(len(splits.train), len(splits.val), scratch=scratch)
    if fast_bf16():
        changes["precision"] = "bf16"
    return recipe.replace(**changes)


def _length(count: int, held_out: int, *, scratch: bool) -> dict[str, Any]:
    shortest, longest = EPOCHS
    epochs = min(longest, max(shortest, round(SEEN / count)))
    return {
        "epochs": epochs,
        "eval_every": max(1, math.ceil(epochs / 12), math.ceil(2 * held_out / count)),
        "batch_size": BATCH,
        "optimizer": "adamw",
        "lr": 2e-3 if scratch else 3e-4,
        "lr_batch_size": None,
        "momentum": None,
        "square_momentum": None,
        "optimizer_eps": None,
        "weight_decay": 0.05,
        "norm_decay": False,
        "bias_decay": False,
        "bias_lr_factor": 1.0,
        "schedule": "cosine",
        "warmup": "linear",
        "warmup_start": 0.01,
        "warmup_steps": 200,
        "scale_jitter": (0.9, 1.1) if scratch else (0.75, 1.5),
        **({"photometric": 0.0} if scratch else {}),
        "crop_largest_share": 1.0,
    }
