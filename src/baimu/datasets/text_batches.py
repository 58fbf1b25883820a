"""Batches of texts as numbers of words; :mod:`baimu.datasets.batches` says in which order they come. Texts of about the
same length share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baimu.datasets.batches import Batches, eval_lists, train_lists
from baimu.datasets.class_batches import shares_of, smoothed
from baimu.datasets.source import TextSource
from baimu.datasets.workers import Maker
from baimu.recipes import Recipe
from baimu.targets import Batch, ClassTargets
from baimu.words import PADDING, TextPreprocess


def train_text_batches(
    source: TextSource,
    preprocess: TextPreprocess,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's batches, ``recipe.accumulate`` of them a step, but for the first ``skip``."""
    lengths = np.array([len(source.text(i)) for i in range(len(source))])
    lists = train_lists(len(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip, lengths=lengths)
    return Batches(_Texts(source, preprocess, recipe.label_smoothing), lists, recipe.workers)


def eval_text_batches(
    source: TextSource,
    preprocess: TextPreprocess,
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Every ``world``-th text from ``rank`` on, in order; the last batch may be smaller."""
    lists = eval_lists(len(source), batch_size, rank=rank, world=world)
    return Batches(_Texts(source, preprocess, 0.0), lists, workers)


@dataclass
class _Texts(Maker):
    source: TextSource
    preprocess: TextPreprocess
    smoothing: float

    def batch(self, indices: list[int]) -> Batch:
        inputs = padded([self.preprocess.numbers(self.source.text(i)) for i in indices])
        shares = shares_of(self.source, indices)
        shares = smoothed(shares, self.smoothing, multi_label=self.source.multi_label)
        names = [self.source.name(i) for i in indices]
        return Batch(inputs, ClassTargets(torch.from_numpy(shares)), [], names, list(indices))


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """int64 (B, T), filled up with :data:`~baimu.words.PADDING` at the right."""
    inputs = torch.full((len(rows), max([1, *map(len, rows)])), PADDING)
    for place, row in zip(inputs, rows, strict=True):
        place[: len(row)] = torch.tensor(row, dtype=torch.int64)
    return inputs
