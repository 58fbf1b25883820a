"""Augmentation of pictures with their label maps, which follow by nearest pixel. Random numbers come from an explicit
numpy generator; fields are those of :class:`~baimu.recipes.Recipe`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from baimu.datasets.color import color_jitter, photometric_distortion
from baimu.datasets.transforms import RESAMPLING
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import UNDECIDED

TRIES = 10
"""A window with too much of one class is drawn anew so often."""


@dataclass(frozen=True, eq=False)
class MapSample:
    """RGB uint8 (H, W, 3) and its labels, uint8 (H, W)."""

    image: np.ndarray
    labels: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.labels.shape[0], self.labels.shape[1]


@dataclass(frozen=True)
class Window:
    """A part of a picture after it was scaled to ``whole`` (height, width)."""

    whole: tuple[int, int]
    top: int
    left: int
    height: int
    width: int


def augment_map(sample: MapSample, preprocess: Preprocess, recipe: Recipe, rng: np.random.Generator) -> MapSample:
    """The training sample as the recipe says: scaled, cut, recoloured, flipped; never larger than its crop."""
    window = choose_window(sample, preprocess, recipe, rng)
    sample = cut(sample, window, preprocess)
    image = sample.image
    if recipe.photometric:
        image = photometric_distortion(image, recipe.photometric, rng)
    if recipe.color_jitter:
        image = color_jitter(image, recipe.color_jitter, rng)
    sample = replace(sample, image=image)
    if rng.random() < recipe.flip:
        sample = MapSample(sample.image[:, ::-1], sample.labels[:, ::-1])
    if rng.random() < recipe.vertical_flip:
        sample = MapSample(sample.image[::-1], sample.labels[::-1])
    return sample


def choose_window(sample: MapSample, preprocess: Preprocess, recipe: Recipe, rng: np.random.Generator) -> Window:
    """The scale, and where the crop lies; of crops in which one class has more than its share the last one."""
    factor = rng.uniform(*recipe.scale_jitter) if recipe.scale_jitter else 1.0
    scaled = preprocess.frame(*sample.size).scaled
    whole = (max(1, round(scaled[0] * factor)), max(1, round(scaled[1] * factor)))
    if recipe.train_crop is None:
        return Window(whole, 0, 0, *whole)
    height, width = (min(side, crop) for side, crop in zip(whole, recipe.train_crop, strict=True))
    window = Window(whole, 0, 0, height, width)
    for _ in range(TRIES):
        top, left = (int(rng.integers(have - want + 1)) for have, want in zip(whole, (height, width), strict=True))
        window = Window(whole, top, left, height, width)
        if (
            recipe.crop_largest_share == 1
            or largest_share(cut_labels(sample.labels, window)) < recipe.crop_largest_share
        ):
            break
    return window


def largest_share(labels: np.ndarray) -> float:
    """Of the pixels that are decided those of the commonest class, 0…1; 1 where there is but one class, or none."""
    counts = np.bincount(labels.ravel(), minlength=256)[:UNDECIDED]
    return float(counts.max() / counts.sum()) if np.count_nonzero(counts) > 1 else 1.0


def cut(sample: MapSample, window: Window, preprocess: Preprocess) -> MapSample:
    """The window of the scaled sample; only what it shows is scaled."""
    (height, width), size = sample.size, (window.height, window.width)
    if window.whole == sample.size:
        rows, columns = slice(window.top, window.top + size[0]), slice(window.left, window.left + size[1])
        return MapSample(sample.image[rows, columns], sample.labels[rows, columns])
    y, x = height / window.whole[0], width / window.whole[1]
    box = (window.left * x, window.top * y, (window.left + size[1]) * x, (window.top + size[0]) * y)
    box = (box[0], box[1], min(box[2], width), min(box[3], height))  # which rounding may pass
    picture = Image.fromarray(np.ascontiguousarray(sample.image))
    image = np.asarray(picture.resize((size[1], size[0]), RESAMPLING[preprocess.interpolation], box=box))
    return MapSample(image, cut_labels(sample.labels, window))


def cut_labels(labels: np.ndarray, window: Window) -> np.ndarray:
    """Labels of the window by the pixel in which the centre of each of its pixels lies."""
    rows, columns = (
        ((np.arange(start, start + length) + 0.5) * old / new).astype(np.int64)
        for start, length, old, new in zip(
            (window.top, window.left), (window.height, window.width), labels.shape, window.whole, strict=True
        )
    )
    return labels[rows[:, None], columns]


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map (H, W) at ``size`` (height, width)."""
    return cut_labels(labels, Window(size, 0, 0, *size))
