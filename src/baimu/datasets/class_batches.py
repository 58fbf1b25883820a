"""Batches of images with labels; :mod:`baimu.datasets.batches` says in which order they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from baimu.datasets.batches import Batches, eval_lists, generator, train_lists
from baimu.datasets.class_transforms import augment_picture, mix
from baimu.datasets.source import ClassificationSource, ImageSource, TextSource
from baimu.datasets.transforms import to_input
from baimu.datasets.workers import Maker
from baimu.errors import DataError
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, ClassTargets


def train_class_batches(
    source: ClassificationSource,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's augmented batches, ``recipe.accumulate`` of them a step, but for the first ``skip``."""
    lists = train_lists(len(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    return Batches(_TrainPictures(source, preprocess, recipe, epoch), lists, recipe.workers)


def eval_class_batches(
    source: ClassificationSource,
    preprocess: Preprocess,
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Every ``world``-th image from ``rank`` on, in order, as the network gets it; the last batch may be smaller.

    Pixels are decoded at full size, as :func:`baimu.predict` does, so that a score is one of what users get.
    """
    lists = eval_lists(len(source), batch_size, rank=rank, world=world)
    return Batches(_EvalPictures(source, preprocess), lists, workers)


def shares_of(source: ClassificationSource | TextSource, indices: Sequence[int]) -> np.ndarray:
    """(B, K) float32: 1 for the labels of each image, −1 for those that nobody knows, else 0."""
    shares = np.zeros((len(indices), len(source.classes)), np.float32)
    for row, index in zip(shares, indices, strict=True):
        row[source.labels(index)] = 1
        row[source.unknown(index)] = -1
    return shares


def smoothed(shares: np.ndarray, smoothing: float, *, multi_label: bool) -> np.ndarray:
    """``smoothing`` of each label taken and given to all K classes evenly (1512.00567 §7); with several labels an image
    each of them is a question of its own, of yes and no."""
    if not smoothing:
        return shares
    even = 1 / 2 if multi_label else 1 / shares.shape[1]
    return np.where(shares < 0, shares, (1 - smoothing) * shares + np.float32(smoothing * even)).astype(np.float32)


@dataclass
class _EvalPictures(Maker):
    source: ClassificationSource
    preprocess: Preprocess

    def batch(self, indices: list[int]) -> Batch:
        pairs = [to_input(self.source.image(index), self.preprocess) for index in indices]
        images = stacked([image for image, _ in pairs], self.source, indices)
        return _batch(images, shares_of(self.source, indices), [frame for _, frame in pairs], self.source, indices)


@dataclass
class _TrainPictures(Maker):
    source: ClassificationSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        recipe, source = self.recipe, self.source
        images = stacked([self.picture(index) for index in indices], source, indices)
        shares = smoothed(shares_of(source, indices), recipe.label_smoothing, multi_label=source.multi_label)
        if (recipe.mixup_alpha or recipe.cutmix_alpha) and self.epoch < recipe.epochs - recipe.close_augment_epochs:
            # The last number keeps this stream apart from those of images, as trailing zeros do not count.
            images, shares = mix(images, shares, recipe, generator(recipe, self.epoch, *indices, 2))
        size = images.shape[2], images.shape[3]
        return _batch(images, shares, [Frame(size, size, 1.0, 1.0)] * len(indices), source, indices)

    def picture(self, index: int) -> np.ndarray:
        load = partial(self._load, index)
        rng = generator(self.recipe, self.epoch, index)
        return augment_picture(load, self.source.size(index), self.preprocess, self.recipe, rng)

    def _load(self, index: int, at_least: int | None) -> np.ndarray:
        return self.source.image(index, at_least=at_least)


def stacked(images: list[np.ndarray], source: ImageSource, indices: Sequence[int]) -> np.ndarray:
    """(B, 3, H, W) uint8."""
    for image, index in zip(images, indices, strict=True):
        if image.shape != images[0].shape:
            (h0, w0), (h, w) = images[0].shape[:2], image.shape[:2]
            raise DataError(
                f"{source.name(index)}: is {w}x{h}, {source.name(indices[0])} is {w0}x{h0}, and a batch has one size; "
                "take resize=crop or resize=stretch"
            )
    return np.stack([image.transpose(2, 0, 1) for image in images])


def _batch(
    images: np.ndarray, shares: np.ndarray, frames: list[Frame], source: ClassificationSource, indices: list[int]
) -> Batch:
    names = [source.name(i) for i in indices]
    return Batch(torch.from_numpy(images), ClassTargets(torch.from_numpy(shares)), frames, names, list(indices))
