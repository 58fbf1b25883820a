"""Batches of images with objects; :mod:`baimu.datasets.batches` says in which order they come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from baimu.datasets.annotations import without_masks
from baimu.datasets.batches import Batches, eval_lists, generator, train_lists
from baimu.datasets.source import DetectionSource
from baimu.datasets.transforms import SMALLEST_CROP, Sample, augment, resize
from baimu.datasets.workers import Maker
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, Targets


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
    """One epoch of this rank's augmented batches, ``recipe.accumulate`` of them a step, but for the first ``skip``.

    With ``masks``, targets carry the instance masks of a source that has them.
    """
    lists = train_lists(len(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    source = source if masks else without_masks(source)
    return Batches(_TrainPictures(source, preprocess, masks, recipe, epoch), lists, recipe.workers)


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
    lists = eval_lists(len(source), batch_size, rank=rank, world=world)
    source = source if masks else without_masks(source)
    return Batches(_EvalPictures(source, preprocess, masks), lists, workers)


@dataclass
class _Pictures(Maker):
    """A :class:`~baimu.datasets.workers.Maker`."""

    source: DetectionSource
    preprocess: Preprocess
    masks: bool

    def batch(self, indices: list[int]) -> Batch:
        pairs = [self.prepare(index) for index in indices]
        samples, frames = [sample for sample, _ in pairs], [frame for _, frame in pairs]
        return collate(samples, frames, self.preprocess, [self.source.name(i) for i in indices], indices)

    def prepare(self, index: int) -> tuple[Sample, Frame]:
        raise NotImplementedError


@dataclass
class _EvalPictures(_Pictures):
    def prepare(self, index: int) -> tuple[Sample, Frame]:
        sample = load_sample(self.source, index, masks=self.masks)
        frame = self.preprocess.frame(*sample.size)
        return resize(sample, frame.size), frame


@dataclass
class _TrainPictures(_Pictures):
    recipe: Recipe
    epoch: int

    def prepare(self, index: int) -> tuple[Sample, Frame]:
        recipe = self.recipe
        rng = generator(recipe, self.epoch, index)
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
