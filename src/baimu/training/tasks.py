"""What the engine asks of a task. Another task is one more :class:`~baimu.training.share.Share`, with the answers that
are its own, and one line in ``TASKS``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.source import Splits
from baimu.errors import TrainingError
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.classification import ClassificationTask
from baimu.training.detection import DetectionTask
from baimu.training.embedding import EmbeddingTask
from baimu.training.generation import GenerationTask
from baimu.training.segmentation import SegmentationTask
from baimu.training.step import PhaseSpec
from baimu.training.text_classification import TextClassificationTask
from baimu.training.text_recognition import TextRecognitionTask
from baimu.training.tracking import TrackingTask


class Task(Protocol):
    """A task's data, score and pictures, in one process of a training.

    What must be known before there is a training, or without one, the class answers: which data a model wants, how it
    is made for them, and how it is scored.
    """

    recipe: Recipe
    phases: tuple[PhaseSpec, ...]
    score: str  # the figure that decides which checkpoint is best; more is better
    steps_per_epoch: int
    fingerprint: dict[str, Any]  # JSON values by which a checkpoint knows its data again

    @property
    def score_names(self) -> tuple[str, ...]:
        """All figures, in the order of results.csv."""
        ...

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        """Options of :func:`~baimu.datasets.open.open_data` for the data that ``model``, or one of that name, wants."""
        ...

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits, *, scratch: bool) -> Recipe:
        """The method's recipe for these data; ``scratch``: from random values."""
        ...

    @staticmethod
    def make(name: str, splits: Splits, arguments: Mapping[str, Any], *, scratch: bool) -> tuple[nn.Module, str]:
        """A model of that name for these data, and what is particular about it, in words. ``arguments`` come first."""
        ...

    @staticmethod
    def check(model: Any, splits: Splits) -> None:
        """Raise :class:`~baimu.errors.TrainingError` where ``model`` cannot learn from ``splits``."""
        ...

    @staticmethod
    def prepare(model: Any, splits: Splits, recipe: Recipe) -> None:
        """Tell ``model`` what it keeps of the data and the recipe: the names of its classes, the size of its input."""
        ...

    @staticmethod
    def matched(source: Any, model: Any) -> Any:
        """``source`` as ``model`` is to be scored on it; raises where it does not fit."""
        ...

    @staticmethod
    def score_model(
        model: Any, source: Any, *, batch_size: int, workers: int, precision: Any, accelerator: Accelerator | None
    ) -> Any:
        """All scores of ``model`` on ``source``; with an accelerator shared by its processes, and the same in each."""
        ...

    def __init__(self, splits: Splits, model: Any, recipe: Recipe, accelerator: Accelerator) -> None: ...

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


TASKS: dict[str, type[Task]] = {
    "detection": DetectionTask,
    "instance_segmentation": DetectionTask,
    "classification": ClassificationTask,
    "semantic_segmentation": SegmentationTask,
    "embedding": EmbeddingTask,
    "generation": GenerationTask,
    "text_recognition": TextRecognitionTask,
    "text_classification": TextClassificationTask,
    "tracking": TrackingTask,
}
"""By the task of a model: its ``task``, or what the catalogue says of its name."""


def task_of(model: str | nn.Module) -> type[Task]:
    """The task of a model, or of those of a name. Raises :class:`~baimu.errors.TrainingError` for one without."""
    name = zoo.model_info(model).task if isinstance(model, str) else getattr(model, "task", None)
    if name not in TASKS:
        raise TrainingError(
            f"{model if isinstance(model, str) else type(model).__name__}: nothing here trains its task {name!r}; "
            f"a model object says by its attribute task which it is: {', '.join(TASKS)}"
        )
    return TASKS[name]
