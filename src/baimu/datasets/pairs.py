"""Pairs of frames for trackers of one object: the exemplar, a search image, and where the target lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from baimu.datasets.batches import Batches, generator, train_lists
from baimu.datasets.color import color_jitter
from baimu.datasets.source import SequenceSource
from baimu.datasets.workers import Maker
from baimu.errors import DataError
from baimu.preprocess import Frame
from baimu.recipes import Recipe
from baimu.targets import Batch, PairTargets
from baimu.tracking.siamese import Window, context_side, crop

TRIES = 20  # frames that are drawn anew where the object is not there


def train_pairs(
    source: SequenceSource,
    recipe: Recipe,
    sizes: tuple[int, int],
    *,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
) -> Batches:
    """One epoch of this rank's batches of :func:`pairs_per_epoch` pairs, but for the first ``skip``; ``sizes`` are
    those of exemplars and search images, pixels."""
    lists = train_lists(pairs_per_epoch(source, recipe), recipe, epoch=epoch, rank=rank, world=world, skip=skip)
    return Batches(_Pairs(source, recipe, sizes, epoch), lists, recipe.workers)


def pairs_per_epoch(source: SequenceSource, recipe: Recipe) -> int:
    """As the recipe says, or else as many as there are frames."""
    return recipe.pairs_per_epoch or sum(source.frames(i) for i in range(len(source)))


@dataclass
class _Pairs(Maker):
    """A :class:`~baimu.datasets.workers.Maker`; what is random about a pair depends on its number alone."""

    source: SequenceSource
    recipe: Recipe
    sizes: tuple[int, int]
    epoch: int

    def batch(self, indices: list[int]) -> Batch:
        exemplars, searches, boxes, positive, names = zip(*map(self.pair, indices), strict=True)
        targets = PairTargets(torch.stack(exemplars), torch.from_numpy(np.stack(boxes)), torch.tensor(positive))
        size = (self.sizes[1], self.sizes[1])
        frames = [Frame(size, size, 1.0, 1.0)] * len(indices)
        return Batch(torch.stack(searches), targets, frames, list(names), list(indices))

    def pair(self, index: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, bool, str]:
        recipe, rng = self.recipe, generator(self.recipe, self.epoch, index)
        series = index % len(self.source)  # each is shown equally often
        first = self._frame(series, rng, 0, self.source.frames(series))
        positive = len(self.source) == 1 or rng.random() >= recipe.negative_pairs
        if positive:
            low, high = first - recipe.frame_range, first + recipe.frame_range + 1
            other, second = series, self._frame(series, rng, low, high)
        else:
            other = (series + 1 + int(rng.random() * (len(self.source) - 1))) % len(self.source)
            second = self._frame(other, rng, 0, self.source.frames(other))
        exemplar, _ = self._cut(series, first, self.sizes[0], recipe.exemplar_jitter, rng)
        search, box = self._cut(other, second, self.sizes[1], recipe.search_jitter, rng)
        if recipe.blur and rng.random() < recipe.blur:
            search = _blurred(search, rng)
        if recipe.color_jitter:
            exemplar, search = (_recoloured(image, recipe.color_jitter, rng) for image in (exemplar, search))
        if recipe.flip and rng.random() < recipe.flip:
            exemplar, search = exemplar.flip(2), search.flip(2)
            box = np.array([self.sizes[1] - box[2], box[1], self.sizes[1] - box[0], box[3]], np.float32)
        return exemplar, search, box, positive, f"{self.source.name(other)}, frame {second}"

    def _frame(self, series: int, rng: np.random.Generator, low: int, high: int) -> int:
        """A frame of a series within bounds in which the object is there."""
        low, high = max(low, 0), min(high, self.source.frames(series))
        for _ in range(TRIES):
            number = int(rng.integers(low, high))
            if np.isfinite(self.source.box(series, number)).all():
                return number
        every = [n for n in range(self.source.frames(series)) if np.isfinite(self.source.box(series, n)).all()]
        if not every:
            raise DataError(f"{self.source.name(series)}: the object is in none of its frames; leave the sequence out")
        near = [n for n in every if low <= n < high] or every
        return near[int(rng.integers(len(near)))]

    def _cut(
        self, series: int, number: int, size: int, jitter: tuple[float, float], rng: np.random.Generator
    ) -> tuple[torch.Tensor, np.ndarray]:
        """The square around the object as a tracker looks at it, shifted and stretched at random, and the box in it."""
        frame, box = self.source.frame(series, number), self.source.box(series, number)
        shift, stretch = jitter
        exemplar_side = context_side(box[2] - box[0], box[3] - box[1])
        side = exemplar_side * size / self.sizes[0]
        width, height = (max(2, round(side * (1 + rng.uniform(-stretch, stretch)))) for _ in range(2))
        x, y = (box[:2] + box[2:]) / 2 + rng.uniform(-shift, shift, 2) * side / size
        window = Window(round(x - width / 2), round(y - height / 2), width, height)
        return crop(frame, window, size, frame.mean((0, 1))), window.to_crop(box, size).astype(np.float32)


def _recoloured(image: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    pixels = color_jitter(image.permute(1, 2, 0).numpy(), strength, rng)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _blurred(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A box of odd side, 3 to 7 pixels, as pysot's random kernel is about so wide."""
    side = 3 + 2 * int(rng.integers(3))
    return (
        torch.nn.functional.avg_pool2d(image[None].float(), side, 1, side // 2, count_include_pad=False)[0]
        .add_(0.5)
        .to(torch.uint8)
    )
