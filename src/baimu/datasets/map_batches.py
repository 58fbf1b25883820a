"""Batches of images with label maps; :mod:`baimu.datasets.batches` says in which order they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from baimu.datasets.batches import Batches, generator, train_lists
from baimu.datasets.map_transforms import MapSample, augment_map
from baimu.datasets.source import SegmentationSource
from baimu.datasets.workers import Maker
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import UNDECIDED, Batch, MapTargets

STRIDE = 32
"""Where a batch has no crop of its own, its sides are multiples of this."""


def train_map_batches(
    source: SegmentationSource,
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
    return Batches(_TrainMaps(source, preprocess, recipe, epoch), lists, recipe.workers)


@dataclass
class _TrainMaps(Maker):
    """A :class:`~baimu.datasets.workers.Maker`."""

    source: SegmentationSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        samples = [self.sample(index) for index in indices]
        sides = [max(sample.size[i] for sample in samples) for i in (0, 1)]
        height, width = self.recipe.train_crop or (-(-side // STRIDE) * STRIDE for side in sides)
        images = np.zeros((len(samples), height, width, 3), np.uint8)
        labels = np.full((len(samples), height, width), UNDECIDED, np.uint8)
        for sample, image, map in zip(samples, images, labels, strict=True):
            image[: sample.size[0], : sample.size[1]] = sample.image
            map[: sample.size[0], : sample.size[1]] = sample.labels
        sizes = torch.tensor([sample.size for sample in samples], dtype=torch.int64)
        return Batch(
            torch.from_numpy(images).permute(0, 3, 1, 2),  # channels-last in memory
            MapTargets(torch.from_numpy(labels), sizes),
            [Frame(sample.size, sample.size, 1.0, 1.0) for sample in samples],
            [self.source.name(i) for i in indices],
            list(indices),
        )

    def sample(self, index: int) -> MapSample:
        rng = generator(self.recipe, self.epoch, index)
        plain = MapSample(self.source.image(index), self.source.label_map(index))
        return augment_map(plain, self.preprocess, self.recipe, rng)
