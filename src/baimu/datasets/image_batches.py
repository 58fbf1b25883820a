"""Batches of images with what they are to become; :mod:`baimu.datasets.batches` says in which order they come.

Of pairs both images get the same window and the same flips; of two domains an image of A comes with a random one of B;
of single images the small one is made of a crop. Dims: S the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from baimu.datasets.batches import Batches, generator, train_lists
from baimu.datasets.source import ClassificationSource, ImageSource, PairSource
from baimu.datasets.transforms import resize_image, to_input
from baimu.datasets.workers import Maker
from baimu.errors import DataError
from baimu.ops.resize import bicubic
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, ImageTargets

AROUND = 4
"""Small pixels around a crop that its bicubic reduction needs, so that it is a crop of the reduced image."""

HELD = 200_000_000
"""Bytes of decoded images that each process which makes crops may hold."""


@dataclass
class TrainPairs(Maker):
    """A :class:`~baimu.datasets.workers.Maker` of augmented pairs."""

    source: PairSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        made = [self.pair(index) for index in indices]
        return _batch([a for a, _ in made], [b for _, b in made], self.source, indices)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, truth = self.source.pair(index)
        rng = generator(self.recipe, self.epoch, index)
        if self.recipe.resize == "none" and image.shape != truth.shape:
            raise DataError(f"{self.source.name(index)}: is {_text(image)}, its partner {_text(truth)}; resize=stretch")
        both = np.concatenate([_scaled(part, self.recipe) for part in (image, truth)], 2)
        both = _augmented(both, self.recipe, rng)
        return both[:, :, :3], both[:, :, 3:]


@dataclass
class TrainDomains(Maker):
    """A maker of augmented images of A with random ones of B."""

    source: ClassificationSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int
    members: tuple[np.ndarray, np.ndarray]  # positions of the images of each domain

    def batch(self, indices: list[int]) -> Batch:
        images, others, own = [], [], []
        for index in indices:
            rng = generator(self.recipe, self.epoch, index)
            first = int(self.members[0][index % len(self.members[0])])
            second = int(self.members[1][rng.integers(len(self.members[1]))])
            for place, position in ((images, first), (others, second)):
                place.append(_augmented(_scaled(self.source.image(position), self.recipe), self.recipe, rng))
            own.append(first)
        return _batch(images, others, self.source, own)

    def names(self, indices: list[int]) -> list[str]:
        return [self.source.name(int(self.members[0][index % len(self.members[0])])) for index in indices]


@dataclass
class TrainCrops(Maker):
    """A maker of crops of ``recipe.size`` pixels, turned and flipped, and of the small images that are made of them;
    ``recipe.crops`` positions are of one image."""

    source: ImageSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int
    scale: int
    held: dict[int, np.ndarray] = field(default_factory=dict)

    def batch(self, indices: list[int]) -> Batch:
        own = [index % len(self.source) for index in indices]
        made = [self.crop(image, generator(self.recipe, self.epoch, i)) for image, i in zip(own, indices, strict=True)]
        return _batch([small for small, _ in made], [large for _, large in made], self.source, own)

    def crop(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image, scale, side = self._image(index), self.scale, self.recipe.size // self.scale * self.scale
        height, width = (length // scale * scale for length in image.shape[:2])
        if min(height, width) < side:
            raise DataError(f"{self.source.name(index)}: is {_text(image)}, smaller than crops of {side}; lower size")
        top, left = (scale * int(rng.integers((length - side) // scale + 1)) for length in (height, width))
        above, before = (min(AROUND * scale, place) for place in (top, left))
        window = image[:height, :width][top - above : top + side + AROUND * scale]
        window = window[:, left - before : left + side + AROUND * scale]
        y, x, cells = above // scale, before // scale, side // scale
        small = reduced(window, scale)[y : y + cells, x : x + cells]
        large = image[top : top + side, left : left + side]
        turn, flip = int(rng.integers(4)) if self.recipe.vertical_flip else 0, rng.random() < self.recipe.flip
        small, large = (np.rot90(part, turn) for part in (small, large))
        return (small[:, ::-1], large[:, ::-1]) if flip else (small, large)

    def _image(self, index: int) -> np.ndarray:
        """Decoding a photograph takes as long as learning from a crop of it, so a few are held."""
        if index not in self.held:
            if sum(image.size for image in self.held.values()) > HELD:
                self.held.clear()
            self.held[index] = self.source.image(index)
        return self.held[index]


@dataclass
class EvalPairs(Maker):
    """A maker of pairs as the network gets them, without chance."""

    source: PairSource
    preprocess: Preprocess

    def batch(self, indices: list[int]) -> Batch:
        pairs = [self.source.pair(index) for index in indices]
        made = [[to_input(part, self.preprocess)[0] for part in pair] for pair in pairs]
        return _batch([a for a, _ in made], [b for _, b in made], self.source, indices)


@dataclass
class EvalDomain(Maker):
    """A maker of images of one domain as the network gets them; each is its own target."""

    source: ClassificationSource
    preprocess: Preprocess

    def batch(self, indices: list[int]) -> Batch:
        images = [to_input(self.source.image(index), self.preprocess)[0] for index in indices]
        return _batch(images, images, self.source, indices)


@dataclass
class EvalCrops(Maker):
    """A maker of whole images, cut to multiples of ``scale``, and of the small ones made of them."""

    source: ImageSource
    scale: int

    def batch(self, indices: list[int]) -> Batch:
        large = [_whole(self.source.image(index), self.scale) for index in indices]
        return _batch([reduced(image, self.scale) for image in large], large, self.source, indices)


def train_image_batches(
    model: Any,
    source: Any,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's batches for ``model``, by what it learns from, but for the first ``skip``."""
    lists = train_lists(items(model, source, recipe), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    given: tuple[Any, ...] = (source, model.preprocess, recipe, epoch)
    if model.learns_from == "image domains":
        maker: Any = TrainDomains(*given, members=members(source))
    elif model.learns_from == "images":
        maker = TrainCrops(*given, scale=model.scale)
    else:
        maker = TrainPairs(*given)
    return Batches(maker, lists, recipe.workers)


def eval_image_batches(model: Any, source: Any, lists: Sequence[list[int]], workers: int = 0) -> Batches:
    """The positions ``lists`` of ``source`` as ``model`` is given them, with what they should become."""
    if model.learns_from == "images":
        return Batches(EvalCrops(source, model.scale), lists, workers)
    maker = EvalPairs if model.learns_from == "image pairs" else EvalDomain
    return Batches(maker(source, model.preprocess), lists, workers)


def items(model: Any, source: Any, recipe: Recipe) -> int:
    """What an epoch goes through: pairs, images of the larger domain, or crops."""
    if model.learns_from == "image domains":
        return max(map(len, members(source)))
    return len(source) * recipe.crops if model.learns_from == "images" else len(source)


def members(source: ClassificationSource) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the images of each of two domains."""
    labels = np.array([int(source.labels(i)[0]) for i in range(len(source))], np.int64)
    return np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)


def reduced(image: np.ndarray, scale: int) -> np.ndarray:
    """An image (H, W, 3) uint8, H and W multiples of ``scale``, at 1 / ``scale`` by MATLAB's bicubic, in 8 bits."""
    return resampled(image, (image.shape[0] // scale, image.shape[1] // scale))


def resampled(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 at ``size`` by MATLAB's bicubic, in 8 bits."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()
    return bicubic(planes, size).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _whole(image: np.ndarray, scale: int) -> np.ndarray:
    height, width = (side // scale * scale for side in image.shape[:2])
    return image[:height, :width]


def _scaled(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """At the size of which the crop is a share."""
    if recipe.resize == "none":
        return image
    side = round(recipe.size / recipe.crop_share)
    return resize_image(image, (side, side), recipe.interpolation)


def _augmented(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """A random window of ``recipe.size``, continued by reflection where the image is smaller, and flips."""
    missing = [max(0, recipe.size - side) for side in image.shape[:2]]
    if any(missing):
        image = np.pad(image, [(0, m) for m in missing] + [(0, 0)], mode="symmetric")
    top, left = (int(rng.integers(side - recipe.size + 1)) for side in image.shape[:2])
    image = image[top : top + recipe.size, left : left + recipe.size]
    image = image[:, ::-1] if rng.random() < recipe.flip else image
    return image[::-1] if rng.random() < recipe.vertical_flip else image


def _batch(images: list[np.ndarray], truths: list[np.ndarray], source: ImageSource, indices: list[int]) -> Batch:
    size = images[0].shape[0], images[0].shape[1]
    frames = [Frame(size, size, 1.0, 1.0)] * len(indices)
    names = [source.name(i) for i in indices]
    return Batch(_planes(images), ImageTargets(_planes(truths)), frames, names, list(indices))


def _planes(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in images]))


def _text(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
