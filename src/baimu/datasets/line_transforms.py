"""Random changes of a line of text that leave it legible; each takes an explicit numpy generator."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from baimu.datasets.color import color_jitter
from baimu.datasets.transforms import RESAMPLING
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe

TURN, SLANT, STRETCH, SHIFT, BLUR, NOISE = 1.5, 0.2, 0.12, 0.08, 0.8, 10.0
"""At full distortion: degrees; horizontal shift by height; of the height; of the height; pixels; grey levels."""


def augment_line(image: np.ndarray, preprocess: Preprocess, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """RGB uint8 (H, W, 3) at the network's height, as the recipe's ``scale_jitter`` (of the width), ``distortion`` and
    ``color_jitter`` change it."""
    height, width = preprocess.frame(*image.shape[:2]).size
    if recipe.scale_jitter is not None:
        width = min(max(1, round(width * rng.uniform(*recipe.scale_jitter))), preprocess.max_size)
    line = Image.fromarray(image).resize((width, height), RESAMPLING[preprocess.interpolation])
    if recipe.distortion:
        line = _distorted(line, recipe.distortion, rng)
    pixels = np.asarray(line)
    if recipe.color_jitter:
        pixels = color_jitter(pixels, recipe.color_jitter, rng)
    return pixels


def _distorted(line: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    turn, slant, stretch, shift = rng.uniform(-strength, strength, 4).tolist()
    blur, noise = rng.uniform(0, strength, 2).tolist()
    width, height = line.size
    # A long line turned by the same angle as a short one would leave the picture at both ends.
    angle = math.radians(TURN * turn) * min(1.0, 4 * height / width)
    tall = 1 + STRETCH * stretch
    shear = SLANT * slant
    x, y = width / 2, height / 2
    # From places of the answer to places of the line, around its middle.
    a, b, d, e = 1.0, shear, math.tan(angle), 1 / tall
    moved = line.transform(
        line.size,
        Image.Transform.AFFINE,
        (a, b, x - a * x - b * y, d, e, y - d * x - e * y - SHIFT * shift * height),
        Image.Resampling.BICUBIC,
        fillcolor=_ground(line),
    )
    if BLUR * blur > 0.3:  # less changes nothing
        moved = moved.filter(ImageFilter.GaussianBlur(BLUR * blur))
    grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(NOISE * noise)
    return Image.fromarray((np.asarray(moved) + grain).clip(0, 255).astype(np.uint8))


def _ground(line: Image.Image) -> tuple[int, ...]:
    """The colour that the border has most of: what lies behind the text."""
    pixels = np.asarray(line)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(c) for c in np.median(border, 0))
