"""Batches for training and evaluation, the same whatever the number of worker processes.

What is random about a sample depends on (seed, epoch, its index) alone, so a resumed run needs no state of workers:
it skips the batches already done without loading them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from baimu.datasets.annotations import without_masks
from baimu.datasets.source import DetectionSource
from baimu.datasets.transforms import SMALLEST_CROP, Sample, augment, resize
from baimu.errors import BaimuError, DataError
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, Targets


class Batches:
    """An iterable of :class:`~baimu.targets.Batch` of known length; each iteration starts anew."""

    def __init__(self, dataset: _Picture, lists: Sequence[list[int]], workers: int) -> None:
        self._dataset, self._lists, self._workers = dataset, lists, workers

    def __len__(self) -> int:
        return len(self._lists)

    def __iter__(self) -> Iterator[Batch]:
        loader: DataLoader[Batch | BaimuError] = DataLoader(
            self._dataset,
            batch_size=None,  # an item is a batch: workers send one padded tensor, not its images
            sampler=self._lists,  # pyright: ignore[reportArgumentType]
            num_workers=min(self._workers, len(self._lists)),
            collate_fn=_as_it_is,  # pyright: ignore[reportArgumentType]
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(0),  # else it draws a seed from the global generator
        )
        for batch in loader:
            if isinstance(batch, BaimuError):
                raise batch
            yield batch


def steps_per_epoch(length: int, recipe: Recipe, world: int = 1) -> int:
    """Optimiser steps an epoch of ``length`` images: whole batches only, but at least one."""
    part_size(recipe, world)
    return max(1, length // recipe.batch_size)


def part_size(recipe: Recipe, world: int = 1) -> int:
    """Images a forward pass: the batch over all processes and accumulation steps; raises when it does not divide."""
    size, rest = divmod(recipe.batch_size, world * recipe.accumulate)
    if rest or not size:
        parts = f"{world} processes x accumulate={recipe.accumulate}"
        raise BaimuError(f"batch_size={recipe.batch_size} must be a multiple of {parts} = {world * recipe.accumulate}")
    return size


def train_batches(
    source: DetectionSource,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
    masks: bool = False,
) -> Batches:
    """One epoch of this rank's augmented batches, ``recipe.accumulate`` of them a step.

    The order is a permutation by (seed, epoch), cut into whole batches; a data set smaller than one batch is repeated
    to fill it. All ranks get the same number of batches of the same size. ``skip`` batches of this rank are left away
    unread. With ``masks``, targets carry the instance masks of a source that has them.
    """
    if not len(source):
        raise DataError("the training set has no image")
    size, count = part_size(recipe, world), len(source)
    # The fourth number keeps this stream apart from image 0's, as trailing zeros do not count.
    order = np.random.Generator(np.random.PCG64([_seed(recipe), epoch, 0, 1])).permutation(count)
    steps = steps_per_epoch(count, recipe, world)
    order = np.resize(order, steps * recipe.batch_size)
    parts = order.reshape(steps * recipe.accumulate, world, size)[skip:, rank]
    source = source if masks else without_masks(source)
    return Batches(_TrainPictures(source, preprocess, masks, recipe, epoch), parts.tolist(), recipe.workers)


def eval_batches(
    source: DetectionSource,
    preprocess: Preprocess,
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    masks: bool = False,
) -> Batches:
    """Every ``world``-th image from ``rank`` on, in order, resized and padded only; the last batch may be smaller.

    Pixels are decoded at full size, as :func:`baimu.predict` does, so that a score is one of what users get.
    """
    mine = range(rank, len(source), world)
    lists = [list(mine[start : start + batch_size]) for start in range(0, len(mine), batch_size)]
    source = source if masks else without_masks(source)
    return Batches(_EvalPictures(source, preprocess, masks), lists, workers)


@dataclass
class _Picture(Dataset["Batch | BaimuError"]):
    """Makes one batch from a list of indices."""

    source: DetectionSource
    preprocess: Preprocess
    masks: bool

    def __getitem__(self, indices: list[int]) -> Batch | BaimuError:
        try:
            pairs = [self.prepare(index) for index in indices]
        except BaimuError as error:  # returned, because raised through a worker its message drowns in a traceback
            return error
        samples, frames = [sample for sample, _ in pairs], [frame for _, frame in pairs]
        return collate(samples, frames, self.preprocess, [self.source.name(i) for i in indices], indices)

    def prepare(self, index: int) -> tuple[Sample, Frame]:
        raise NotImplementedError


@dataclass
class _EvalPictures(_Picture):
    def prepare(self, index: int) -> tuple[Sample, Frame]:
        sample = load_sample(self.source, index, masks=self.masks)
        frame = self.preprocess.frame(*sample.size)
        return resize(sample, frame.size), frame


@dataclass
class _TrainPictures(_Picture):
    recipe: Recipe
    epoch: int

    def prepare(self, index: int) -> tuple[Sample, Frame]:
        recipe = self.recipe
        rng = np.random.Generator(np.random.PCG64([_seed(recipe), self.epoch, index]))
        strong = self.epoch < recipe.epochs - recipe.close_augment_epochs
        sample = augment(self.load, index, len(self.source), self.preprocess, recipe, rng, strong=strong)
        return sample, Frame(sample.size, sample.size, 1.0, 1.0)

    def load(self, index: int) -> Sample:
        zoom = max(self.recipe.scale_jitter or (1.0,)) / (SMALLEST_CROP if self.recipe.crop else 1.0)
        target = min(self.preprocess.frame(*self.source.size(index)).size)
        return load_sample(self.source, index, masks=self.masks, at_least=math.ceil(target * zoom))


def load_sample(source: DetectionSource, index: int, *, masks: bool = False, at_least: int | None = None) -> Sample:
    """The picture with its objects, crowd ones left out; boxes are in the pixels that were decoded."""
    # Masks are drawn at full size, so a picture with masks is not decoded at a smaller one.
    objects = source.objects(index)
    keep = ~objects.crowd
    drawn = objects.masks[keep] if masks and objects.masks is not None else None
    image = source.image(index, at_least=at_least if drawn is None else None)
    full, boxes = source.size(index), objects.boxes[keep]
    if image.shape[:2] != full:
        # JPEG decoders round the reduced sides up; the scale itself is exactly 1/2, 1/4 or 1/8.
        boxes = boxes * np.float32(0.5 ** round(math.log2(full[0] / image.shape[0])))
    return Sample(image, boxes, objects.labels[keep], drawn)


def collate(
    samples: Sequence[Sample], frames: list[Frame], preprocess: Preprocess, names: list[str], indices: list[int]
) -> Batch:
    """One uint8 batch, padded with zeros at the right and bottom."""
    height, width = preprocess.batch_size_of(frames)
    images = np.zeros((len(samples), 3, height, width), np.uint8)
    masks = [] if samples and all(sample.masks is not None for sample in samples) else None
    for image, sample in zip(images, samples, strict=True):
        image[:, : sample.size[0], : sample.size[1]] = sample.image.transpose(2, 0, 1)
        if masks is not None and sample.masks is not None:
            padded = np.zeros((len(sample.masks), height, width), bool)
            padded[:, : sample.size[0], : sample.size[1]] = sample.masks
            masks.append(torch.from_numpy(padded))
    targets = Targets.collate(
        [torch.from_numpy(np.ascontiguousarray(sample.boxes)) for sample in samples],
        [torch.from_numpy(np.ascontiguousarray(sample.labels)) for sample in samples],
        [sample.size for sample in samples],
        masks,
    )
    return Batch(torch.from_numpy(images), targets, frames, names, list(indices))


def _seed(recipe: Recipe) -> int:
    return recipe.seed % 2**64  # numpy takes no negative seeds


def _as_it_is(batch: Batch | BaimuError) -> Batch | BaimuError:
    return batch
