"""Batches of images with identities: in any order, or P identities with K images each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from baimu.datasets.batches import Batches, eval_lists, generator, part_size, steps_per_epoch, train_lists
from baimu.datasets.class_batches import stacked
from baimu.datasets.class_transforms import augment_picture
from baimu.datasets.source import IdentitySource
from baimu.datasets.transforms import to_input
from baimu.datasets.workers import Maker
from baimu.errors import BaimuError, DataError
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, IdTargets


def train_identity_batches(
    source: IdentitySource,
    preprocess: Preprocess,
    recipe: Recipe,
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's augmented batches, ``recipe.accumulate`` of them a step, but for the first ``skip``."""
    if recipe.images_per_identity > 1:
        lists = identity_lists(ids_of(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    else:
        lists = train_lists(len(source), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    return Batches(_TrainImages(source, preprocess, recipe, epoch), lists, recipe.workers)


def eval_identity_batches(
    source: IdentitySource,
    preprocess: Preprocess,
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Every ``world``-th image from ``rank`` on, in order, as the network gets it; the last batch may be smaller."""
    lists = eval_lists(len(source), batch_size, rank=rank, world=world)
    return Batches(_EvalImages(source, preprocess), lists, workers)


def ids_of(source: IdentitySource) -> np.ndarray:
    """(N,) int64: whom each image shows; −1 nobody knows."""
    return np.array([source.shown(i).identity for i in range(len(source))], np.int64)


def identity_lists(
    ids: np.ndarray, recipe: Recipe, *, epoch: int, rank: int = 0, world: int = 1, skip: int = 0
) -> list[list[int]]:
    """The indices of this rank's batches in one epoch: P different identities, one after the other, with
    ``recipe.images_per_identity`` = K different images each (1703.07737 §2).

    An identity's images are shuffled and cut into handfuls of K; what is left over waits for another epoch, and who has
    fewer than K gives some twice. Each part of a batch draws P of those who still have a handful; when they become too
    few, all get theirs anew. Where the data has fewer than P identities, some have more than one handful in a part.
    Ranks get different identities of one draw. A function of (seed, epoch) alone.
    """
    each = recipe.images_per_identity
    size = part_size(recipe, world)
    if size % each:
        raise BaimuError(
            f"batch_size={recipe.batch_size} gives parts of {size} images, which must be a multiple of "
            f"images_per_identity={each}"
        )
    owners, own = np.unique(ids[ids >= 0], return_inverse=True)
    if not len(owners):
        raise DataError("the training set shows no identity")
    known = np.flatnonzero(ids >= 0)
    deck = _Deck(_by_owner(known, own), each, generator(recipe, epoch, 0, 1))
    parts = steps_per_epoch(len(known), recipe, world) * recipe.accumulate
    drawn = [deck.draw(size // each * world).reshape(world, size) for _ in range(parts)]
    return np.stack(drawn)[skip:, rank].tolist()


class _Deck:
    """Handfuls of ``each`` images for every owner, drawn without putting back until too few owners have one."""

    def __init__(self, images: Sequence[np.ndarray], each: int, rng: np.random.Generator) -> None:
        self.images, self.each, self.rng = images, each, rng
        self.hands: list[list[np.ndarray]] = [[] for _ in images]

    def draw(self, count: int) -> np.ndarray:
        """(count, each) images of ``count`` different owners, or of as many as there are, these then repeatedly."""
        ready = [owner for owner, hands in enumerate(self.hands) if hands]
        if len(ready) < min(count, len(self.images)):
            self.hands = [self._handfuls(own) for own in self.images]
            ready = list(range(len(self.images)))
        owners = np.resize(self.rng.permutation(ready), count)
        return np.stack([self._next(owner) for owner in owners.tolist()])

    def _next(self, owner: int) -> np.ndarray:
        if not self.hands[owner]:  # it has been drawn more often than it has handfuls, for want of others
            self.hands[owner] = self._handfuls(self.images[owner])
        return self.hands[owner].pop()

    def _handfuls(self, own: np.ndarray) -> list[np.ndarray]:
        order = self.rng.permutation(own)
        if len(own) < self.each:
            return [np.resize(order, self.each)]
        return list(order[: len(own) // self.each * self.each].reshape(-1, self.each))


def _by_owner(known: np.ndarray, own: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(own, kind="stable")
    return np.split(known[order], np.cumsum(np.bincount(own))[:-1])


@dataclass
class _EvalImages(Maker):
    source: IdentitySource
    preprocess: Preprocess

    def batch(self, indices: list[int]) -> Batch:
        pairs = [to_input(self.source.image(index), self.preprocess) for index in indices]
        images = stacked([image for image, _ in pairs], self.source, indices)
        return _batch(images, [frame for _, frame in pairs], self.source, indices)


@dataclass
class _TrainImages(Maker):
    source: IdentitySource
    preprocess: Preprocess
    recipe: Recipe
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        images = stacked([self.picture(place, index) for place, index in enumerate(indices)], self.source, indices)
        size = images.shape[2], images.shape[3]
        return _batch(images, [Frame(size, size, 1.0, 1.0)] * len(indices), self.source, indices)

    def picture(self, place: int, index: int) -> np.ndarray:
        """An image that its batch holds twice looks different each time."""
        rng = generator(self.recipe, self.epoch, index, place + 3)
        load = partial(self._load, index)
        return augment_picture(load, self.source.size(index), self.preprocess, self.recipe, rng)

    def _load(self, index: int, at_least: int | None) -> np.ndarray:
        return self.source.image(index, at_least=at_least)


def _batch(images: np.ndarray, frames: list[Frame], source: IdentitySource, indices: list[int]) -> Batch:
    ids = torch.tensor([source.shown(i).identity for i in indices], dtype=torch.int64)
    names = [source.name(i) for i in indices]
    return Batch(torch.from_numpy(images), IdTargets(ids), frames, names, list(indices))
