"""Published recipes are for millions of faces or for persons cut out of cameras' pictures; here they are fitted to
less.

What the user changes comes after this and stays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from baimu.datasets.source import IdentitySource, Splits
from baimu.recipes import Recipe
from baimu.training.fitting import fast_bf16

LOOKED_AT = 1000
"""So many images' sizes say how large a data set's images are."""
FEW = 200_000
"""From this many images on, the published length and optimiser stay."""
SEEN = 200_000
"""Images that a training on few from random values shows altogether, within ``EPOCHS``."""
EPOCHS = (10, 60)
UPRIGHT = 0.75
"""Width / height up to which images are of standing persons."""


def fitted_to_identities(recipe: Recipe, splits: Splits[IdentitySource], *, scratch: bool) -> Recipe:
    """``recipe`` for training on ``splits``.

    Images that are as wide as high become squares where the recipe is for upright persons, and from ``scratch`` those
    smaller than its are not enlarged, but cut down to a multiple of 16 pixels. Below 200,000 images a training from
    scratch has AdamW along a cosine for 10 to 60 epochs, in batches of 64; one from trained weights keeps its recipe
    with shorter batches. Where the processor multiplies bfloat16 matrices itself, they are.
    """
    count, changes = len(splits.train), {}
    if recipe.width is not None and upright(splits.train) > UPRIGHT:
        changes |= {"size": recipe.width, "width": None}
    side = small_side(recipe, splits.train)
    if scratch and side is not None:
        changes |= {"size": side, "width": None, "crop_padding": side // 16}
    if scratch and count < FEW:
        changes |= _length(count, len(splits.val))
    elif count < FEW:
        changes |= {"batch_size": min(64, recipe.batch_size), "eval_every": _pause(count, len(splits.val))}
    if fast_bf16():
        changes["precision"] = "bf16"
    return recipe.replace(**changes)


def small_side(recipe: Recipe, source: IdentitySource) -> int | None:
    """The side of square input for images that are smaller than the recipe's, ``None`` where they are not, or are of
    standing persons, whom the recipe enlarges as it was published."""
    if recipe.width is not None and upright(source) <= UPRIGHT:
        return None
    side = int(np.median([min(size) for size in _sizes(source)]))
    published = recipe.width or recipe.size
    return max(16, side // 16 * 16) if side < published else None


def upright(source: IdentitySource) -> float:
    """The median of width / height."""
    return float(np.median([width / height for height, width in _sizes(source)]))


def _sizes(source: IdentitySource) -> list[tuple[int, int]]:
    chosen = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).round().astype(int)).tolist()
    return [source.size(i) for i in chosen]


def _pause(count: int, held_out: int) -> int:
    """Epochs between evaluations, so that these take at most about a tenth of the time."""
    return min(10, max(1, math.ceil(4 * held_out / count)))


def _length(count: int, held_out: int) -> dict[str, Any]:
    shortest, longest = EPOCHS
    return {
        "epochs": min(longest, max(shortest, round(SEEN / count))),
        "eval_every": _pause(count, held_out),
        "batch_size": 64,
        "optimizer": "adamw",
        "lr": 1e-3,
        "lr_batch_size": None,
        "weight_decay": 0.05,
        "norm_decay": False,
        "bias_decay": False,
        "schedule": "cosine",
        "warmup_start": 0.01,
        "warmup_steps": 200,
    }
