"""Batches of lines of text; :mod:`baimu.datasets.batches` says in which order they come. Lines of about the same width
share a batch, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from baimu.datasets.batches import Batches, eval_lists, generator, train_lists
from baimu.datasets.line_transforms import augment_line
from baimu.datasets.source import ReadingSource
from baimu.datasets.transforms import to_input
from baimu.datasets.workers import Maker
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, TextTargets


def train_line_batches(
    source: ReadingSource,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's augmented batches, ``recipe.accumulate`` of them a step, but for the first ``skip``."""
    lengths = widths(source, preprocess)
    lists = train_lists(len(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip, lengths=lengths)
    return Batches(_TrainLines(source, preprocess, recipe, epoch), lists, recipe.workers)


def eval_line_batches(
    source: ReadingSource,
    preprocess: Preprocess,
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Every ``world``-th line from ``rank`` on of those sorted by width; ``Batch.indices`` say which they are."""
    order = np.argsort(widths(source, preprocess), kind="stable").tolist()
    lists = eval_lists(len(source), batch_size, rank=rank, world=world)
    return Batches(_EvalLines(source, preprocess), [[order[i] for i in own] for own in lists], workers)


def widths(source: ReadingSource, preprocess: Preprocess) -> np.ndarray:
    """(N,) pixels that each line is wide as the network gets it."""
    return np.array([preprocess.frame(*source.size(i)).size[1] for i in range(len(source))], np.int64)


@dataclass
class _EvalLines(Maker):
    source: ReadingSource
    preprocess: Preprocess

    def batch(self, indices: list[int]) -> Batch:
        pairs = [to_input(self.source.image(index), self.preprocess) for index in indices]
        images, frames = [image for image, _ in pairs], [frame for _, frame in pairs]
        return collate_lines(images, frames, self.source, self.preprocess, indices)


@dataclass
class _TrainLines(Maker):
    source: ReadingSource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        images = [self.line(index) for index in indices]
        frames = [Frame(image.shape[:2], image.shape[:2], 1.0, 1.0) for image in images]
        return collate_lines(images, frames, self.source, self.preprocess, indices)

    def line(self, index: int) -> np.ndarray:
        rng = generator(self.recipe, self.epoch, index)
        return augment_line(self.source.image(index), self.preprocess, self.recipe, rng)


def collate_lines(
    images: Sequence[np.ndarray],
    frames: Sequence[Frame],
    source: ReadingSource,
    preprocess: Preprocess,
    indices: list[int],
) -> Batch:
    """One uint8 batch, padded with zeros at the right. Characters that the classes lack are left out of the targets:
    such a text is for scoring, not for training."""
    height, width = preprocess.batch_size_of(list(frames))
    inputs = np.zeros((len(images), 3, height, width), np.uint8)
    for place, image in zip(inputs, images, strict=True):
        place[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
    number = {name: label for label, name in enumerate(source.classes)}
    labels = [[number[letter] for letter in source.text(i) if letter in number] for i in indices]
    targets = TextTargets.collate(labels, [frame.size for frame in frames])
    return Batch(torch.from_numpy(inputs), targets, list(frames), [source.name(i) for i in indices], list(indices))
