"""Augmentation of pictures that have labels, not boxes: crops, colours, RandAugment, erasing, mixup and cutmix.

All random numbers come from an explicit numpy generator. Fields are those of :class:`~baimu.recipes.Recipe`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from baimu.datasets.color import color_jitter
from baimu.datasets.transforms import RESAMPLING, to_input
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe

ERASED_AREA, ERASED_RATIO = (0.02, 1 / 3), (0.3, 1 / 0.3)
"""Share of the picture that random erasing fills, and height / width of the box (1708.04896 §4)."""

TRIES = 10
"""A random box is drawn so often before what always fits is taken."""

Window = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""


def augment_picture(
    load: Callable[[int | None], np.ndarray],
    size: tuple[int, int],
    preprocess: Preprocess,
    recipe: Recipe,
    rng: np.random.Generator,
) -> np.ndarray:
    """The training picture as the network gets it, RGB uint8 at its input size.

    ``load`` gives the source picture of ``size`` (height, width), given a number of pixels also one reduced as long as
    its shorter side keeps so many.
    """
    image = _placed(load, size, preprocess, recipe, rng)
    if recipe.crop_padding:
        image = shifted(image, recipe.crop_padding, rng)
    if rng.random() < recipe.flip:
        image = image[:, ::-1]
    if rng.random() < recipe.vertical_flip:
        image = image[::-1]
    if recipe.auto_augment:
        image = auto_augment(image, recipe, rng)
    if recipe.color_jitter:
        image = color_jitter(image, recipe.color_jitter, rng)
    if rng.random() < recipe.random_erasing:
        mean = preprocess.mean if preprocess.channel_order == "rgb" else preprocess.mean[::-1]
        image = erased(image, mean, rng)
    return image


def _placed(
    load: Callable[[int | None], np.ndarray],
    size: tuple[int, int],
    preprocess: Preprocess,
    recipe: Recipe,
    rng: np.random.Generator,
) -> np.ndarray:
    """A random window of the source at input size, or all that evaluation sees."""
    if recipe.crop_area[0] >= 1:
        return to_input(load(None), preprocess)[0]
    top, left, height, width = random_window(size, recipe.crop_area, recipe.crop_ratio, rng)
    target = preprocess.size if preprocess.resize != "none" else min(size)
    image = load(math.ceil(min(size) * target / min(height, width)))
    scale = 0.5 ** round(math.log2(size[0] / image.shape[0]))  # of a JPEG that was decoded smaller
    left, top, right, bottom = (scale * edge for edge in (left, top, left + width, top + height))
    right, bottom = min(right, image.shape[1]), min(bottom, image.shape[0])
    x, y = math.floor(left), math.floor(top)
    part = Image.fromarray(image[y : math.ceil(bottom), x : math.ceil(right)])  # its filter shall see no further
    wanted = (preprocess.width or target, target) if preprocess.resize != "none" else (size[1], size[0])
    resampling = RESAMPLING[preprocess.interpolation]
    return np.asarray(part.resize(wanted, resampling, box=(left - x, top - y, right - x, bottom - y)))


def random_window(
    size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> Window:
    """A window of ``area`` of the picture and width / height ``ratio`` (uniform in its logarithm), anywhere inside:
    Inception's crop (1409.4842 §6). Where none fits, the largest in the middle whose ratio does."""
    full_height, full_width = size
    for _ in range(TRIES):
        pixels = full_height * full_width * rng.uniform(*area)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        width, height = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < width <= full_width and 0 < height <= full_height:
            top, left = int(rng.integers(full_height - height + 1)), int(rng.integers(full_width - width + 1))
            return top, left, height, width
    height = min(full_height, max(1, round(full_width / ratio[0])))
    width = min(full_width, max(1, round(full_height * ratio[1])))
    return (full_height - height) // 2, (full_width - width) // 2, height, width


def shifted(image: np.ndarray, margin: int, rng: np.random.Generator) -> np.ndarray:
    """The picture moved by up to ``margin`` pixels each way, black where it left."""
    height, width = image.shape[:2]
    top, left = rng.integers(2 * margin + 1, size=2).tolist()
    padded = np.zeros((height + 2 * margin, width + 2 * margin, 3), np.uint8)
    padded[margin : margin + height, margin : margin + width] = image
    return padded[top : top + height, left : left + width]


def auto_augment(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """torchvision's RandAugment or TrivialAugment on a Pillow image, where its operations are fastest.

    They draw from torch's generator, which is seeded from ``rng`` for the call and put back afterwards.
    """
    transform = _torchvision(recipe.auto_augment, recipe.augment_ops, recipe.augment_magnitude)
    before = torch.get_rng_state()
    torch.manual_seed(int(rng.integers(2**63)))
    try:
        return np.asarray(transform(Image.fromarray(image)))
    finally:
        torch.set_rng_state(before)


@functools.cache
def _torchvision(kind: str, ops: int, magnitude: int) -> Callable[[Any], Any]:
    from torchvision.transforms import v2  # takes a second to import

    return v2.TrivialAugmentWide() if kind == "trivial" else v2.RandAugment(ops, magnitude)


def erased(image: np.ndarray, color: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """The picture with a random box filled; as it is where no box fits."""
    height, width = image.shape[:2]
    for _ in range(TRIES):
        pixels = height * width * rng.uniform(*ERASED_AREA)
        shape = math.exp(rng.uniform(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1])))
        h, w = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if h < height and w < width:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            image = image.copy()
            image[top : top + h, left : left + w] = np.round(color)
            return image
    return image


def mix(
    images: np.ndarray, shares: np.ndarray, recipe: Recipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Each image of a batch (B, 3, H, W) uint8 with the one before it, mixed or pasted, and the shares (B, K) likewise.

    One share λ ~ Beta(α, α) a batch; where both kinds are wanted, either is as likely. What nobody knows of either
    image (−1) nobody knows of the mixture.
    """
    use_cutmix = recipe.cutmix_alpha > 0 and (recipe.mixup_alpha == 0 or rng.random() < 0.5)
    alpha = recipe.cutmix_alpha if use_cutmix else recipe.mixup_alpha
    share = float(rng.beta(alpha, alpha))
    others = np.roll(images, 1, axis=0)
    if use_cutmix:
        top, bottom, left, right = _cut(images.shape[2:], share, rng)
        mixed = images.copy()
        mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    else:
        weight = round(share * 256)
        share = weight / 256
        mine = images.astype(np.uint16)
        mine *= np.uint16(weight)
        theirs = others.astype(np.uint16)
        theirs *= np.uint16(256 - weight)
        mine += theirs
        mine += np.uint16(128)
        mixed = (mine >> 8).astype(np.uint8)
    other_shares = np.roll(shares, 1, axis=0)
    known = (shares >= 0) & (other_shares >= 0)
    blended = np.float32(share) * shares + np.float32(1 - share) * other_shares
    return mixed, np.where(known, blended, np.float32(-1))


def _cut(size: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of a box of 1 − ``share`` of the picture around a random centre, cut at its edges
    (1905.04899 Eq. 2)."""
    edges = []
    for side in size:
        half = side * math.sqrt(1 - share) / 2
        centre = int(rng.integers(side))
        edges += [max(0, round(centre - half)), min(side, round(centre + half))]
    top, bottom, left, right = edges
    return top, bottom, left, right
