"""What the loop asks of a task, and detection's answer. Another task is one more class here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from torch import nn

from baimu.datasets.annotations import require_masks
from baimu.datasets.loader import steps_per_epoch, train_batches
from baimu.datasets.source import Splits
from baimu.detection.detector import Detector
from baimu.errors import DataError
from baimu.metrics.scores import BoxScores, figure_names
from baimu.metrics.tables import Truth, truth_table
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.evaluate import score_model
from baimu.training.pictures import draw_data, draw_results
from baimu.training.step import PhaseSpec


class Task(Protocol):
    """A task's data, score and pictures, in one process of a training."""

    phases: tuple[PhaseSpec, ...]
    score: str  # the figure that decides which checkpoint is best; more is better
    score_names: tuple[str, ...]  # all figures, in the order of results.csv
    steps_per_epoch: int
    fingerprint: dict[str, Any]  # JSON values by which a checkpoint knows its data again

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        """The steps of ``epoch`` after the first ``skip``: this process's share as ``recipe.accumulate`` equal parts.

        A function of its arguments and the recipe's seed alone; it leaves the global random states as they are.
        """
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The figures of ``model`` (in evaluation mode) on the held-out data, the same in every process."""
        ...

    def draw_data(self, folder: Path) -> None:
        """Pictures of the data as the training will see it."""
        ...

    def draw_results(self, model: nn.Module, folder: Path) -> str:
        """Pictures and tables of what the best model does; returns the table to print."""
        ...


class DetectionTask:
    """Boxes, with ``masks`` those too: batches from the loader, COCO's AP over all processes."""

    phases: tuple[PhaseSpec, ...] = (PhaseSpec("losses"),)

    def __init__(
        self,
        splits: Splits,
        preprocess: Preprocess,
        recipe: Recipe,
        accelerator: Accelerator,
        *,
        masks: bool = False,
    ) -> None:
        for split, source in zip(("train", "val"), splits, strict=True):
            if len(source) == 0:
                raise DataError(f"the {split} split holds no image; give another val_fraction or more images")
            if masks:
                require_masks(source)
        if splits.train.classes != splits.val.classes:
            raise DataError(
                f"train names the classes {splits.train.classes}, val {splits.val.classes}; make them equal"
            )
        self.splits, self.preprocess, self.recipe, self.masks = splits, preprocess, recipe, masks
        self.score = "mask_ap" if masks else "box_ap"
        self.score_names = figure_names(masks=masks)
        self.accelerator = accelerator
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.steps_per_epoch = steps_per_epoch(len(splits.train), recipe, self.world)
        self.fingerprint = {
            "classes": list(splits.train.classes),
            "train_images": len(splits.train),
            "val_images": len(splits.val),
        }

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        parts = train_batches(
            self.splits.train,
            self.preprocess,
            self.recipe,
            epoch=epoch,
            rank=self.rank,
            world=self.world,
            skip=skip * self.recipe.accumulate,
            masks=self.masks,
        )
        here = (part.to(self.accelerator.device) for part in parts)
        return zip(*[here] * self.recipe.accumulate, strict=True)

    def evaluate(self, model: Any) -> dict[str, float]:
        return self.scores(model).figures()

    def scores(self, model: Detector) -> BoxScores:
        """All that the metric says of the held-out split, the same in every process; in fp32, as users will predict."""
        batch_size = max(1, self.recipe.batch_size // self.recipe.accumulate // self.world)
        return score_model(
            model,
            self.splits.val,
            batch_size=batch_size,
            workers=self.recipe.workers,
            accelerator=self.accelerator,
            truth=self.truth if self.accelerator.is_main_process else None,
        )

    @cached_property
    def truth(self) -> Truth:
        """The held-out objects, whose masks are drawn and packed once for all evaluations."""
        return truth_table(self.splits.val, masks=self.masks)

    def draw_data(self, folder: Path) -> None:
        recipe = self.recipe.replace(workers=0)
        batches = train_batches(self.splits.train, self.preprocess, recipe, epoch=0, world=self.world, masks=self.masks)
        batch = next(iter(batches))
        draw_data(folder, self.splits, batch)

    def draw_results(self, model: Any, folder: Path) -> str:
        scores = self.scores(model)
        if self.accelerator.is_main_process:
            draw_results(folder, self.splits, model, scores)
        return str(scores)
