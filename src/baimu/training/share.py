"""What tasks have in common in one process of a training. A task adds its batches, its metric and its pictures, and
what must be known before there is a training: see :class:`~baimu.training.tasks.Task`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from baimu.datasets.batches import steps_per_epoch
from baimu.datasets.source import Splits
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.step import PhaseSpec
from baimu.training.together import place_of


class Share(ABC):
    """One process's share of a training: of its steps, of the evaluation, and the pictures, which the first one draws.

    ``length``: of an epoch, by default that of ``splits.train``. ``known``: what a checkpoint knows its data again by,
    by default the classes; beside it how many images there are of both splits, or whatever :attr:`unit` says.
    """

    phases: tuple[PhaseSpec, ...] = (PhaseSpec("losses"),)
    unit = "images"

    def __init__(
        self,
        splits: Splits[Any],
        model: Any,
        recipe: Recipe,
        accelerator: Accelerator,
        *,
        length: int | None = None,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self.splits, self.preprocess, self.recipe, self.accelerator = splits, model.preprocess, recipe, accelerator
        self.rank, self.world = place_of(accelerator)
        self.steps_per_epoch = steps_per_epoch(len(splits.train) if length is None else length, recipe, self.world)
        self.fingerprint: dict[str, Any] = {
            **({"classes": list(splits.train.classes)} if known is None else known),
            f"train_{self.unit}": len(splits.train),
            f"val_{self.unit}": len(splits.val),
        }

    @abstractmethod
    def batches(self, recipe: Recipe, **part: int) -> Iterable[Batch]:
        """The batches to learn from: of the ``epoch``, those of process ``rank`` of ``world``, but for the first
        ``skip``."""

    @staticmethod
    @abstractmethod
    def score_model(
        model: Any, source: Any, *, batch_size: int, workers: int = 0, accelerator: Accelerator | None = None
    ) -> Any:
        """As :class:`~baimu.training.tasks.Task` says: scores that have ``figures()`` and are printed as a table."""

    @abstractmethod
    def draw_data(self, folder: Path) -> None:
        """Pictures of the data as the training will see it."""

    @staticmethod
    @abstractmethod
    def draw_scores(folder: Path, splits: Splits[Any], model: Any, scores: Any) -> None:
        """Pictures and tables of what the best model does on the held-out split."""

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        recipe = self.recipe
        parts = self.batches(recipe, epoch=epoch, rank=self.rank, world=self.world, skip=skip * recipe.accumulate)
        here = (part.to(self.accelerator.device) for part in parts)
        return zip(*[here] * recipe.accumulate, strict=True)

    def first_batch(self) -> Batch:
        """What the first process learns from first, to be drawn."""
        return next(iter(self.batches(self.recipe.replace(workers=0), epoch=0, world=self.world)))

    def evaluate(self, model: Any) -> dict[str, float]:
        return self.scores(model).figures()

    def scores(self, model: Any, **options: Any) -> Any:
        """All that the metric says of the held-out split, the same in every process; in fp32, as users will predict."""
        batch_size = max(1, self.recipe.batch_size // self.recipe.accumulate // self.world)
        given: dict[str, Any] = {"batch_size": batch_size, "workers": self.recipe.workers, **options}
        return self.score_model(model, self.splits.val, accelerator=self.accelerator, **given)

    def draw_results(self, model: Any, folder: Path) -> str:
        scores = self.scores(model)
        if self.accelerator.is_main_process:
            self.draw_scores(folder, self.splits, model, scores)
        return str(scores)
