"""Batches for training and evaluation, the same whatever the number of worker processes, for every task.

What is random about a sample depends on (seed, epoch, its index) alone, and about a batch on (seed, epoch, its
indices), so a resumed run needs no state of workers: it skips the batches already done without loading them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from baimu.datasets.workers import Crew, Maker
from baimu.errors import BaimuError, DataError
from baimu.recipes import Recipe
from baimu.targets import Batch


class Batches:
    """An iterable of :class:`~baimu.targets.Batch` of known length; each iteration starts anew."""

    def __init__(self, maker: Maker, lists: Sequence[list[int]], workers: int) -> None:
        self._maker, self._lists, self._workers = maker, lists, workers

    def __len__(self) -> int:
        return len(self._lists)

    def __iter__(self) -> Iterator[Batch]:
        return Crew(self._maker, self._lists, min(self._workers, len(self._lists))).batches()


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


def train_lists(
    count: int, recipe: Recipe, *, epoch: int, rank: int, world: int, skip: int, lengths: np.ndarray | None = None
) -> list[list[int]]:
    """The indices of this rank's batches in one epoch over ``count`` images, ``recipe.accumulate`` of them a step.

    The order is a permutation by (seed, epoch), cut into whole batches; a data set smaller than one batch is repeated
    to fill it. All ranks get the same number of batches of the same size; the first ``skip`` are left away. With
    ``lengths`` (N,), of inputs that are padded to the longest of a batch, a step holds such of about the same length.
    """
    if not count:
        raise DataError("the training set has no image")
    size = part_size(recipe, world)
    # The fourth number keeps this stream apart from image 0's, as trailing zeros do not count.
    order = generator(recipe, epoch, 0, 1).permutation(count)
    steps = steps_per_epoch(count, recipe, world)
    order = np.resize(order, steps * recipe.batch_size)
    if lengths is not None:
        order = _alike(order, lengths, recipe.batch_size, generator(recipe, epoch, 0, 3))
    return order.reshape(steps * recipe.accumulate, world, size)[skip:, rank].tolist()


POOL = 16
"""So many steps' inputs are sorted by length together: more would make batches that are the same in every epoch."""


def _alike(order: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """``order`` sorted by length within pools of some batches, and the batches shuffled again."""
    pools = np.arange(len(order)) // (POOL * batch_size)
    order = order[np.lexsort((lengths[order], pools))].reshape(-1, batch_size)
    return rng.permutation(order).ravel()


def eval_lists(count: int, batch_size: int, *, rank: int, world: int) -> list[list[int]]:
    """The indices of every ``world``-th image from ``rank`` on, in order; the last batch may be smaller."""
    mine = range(rank, count, world)
    return [list(mine[start : start + batch_size]) for start in range(0, len(mine), batch_size)]


def generator(recipe: Recipe, *place: int) -> np.random.Generator:
    """The random numbers of one place in a training, such as (epoch, index)."""
    return np.random.Generator(np.random.PCG64([recipe.seed % 2**64, *place]))  # numpy takes no negative seeds
