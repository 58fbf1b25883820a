"""What a model that tells classes apart must know of its data: that it has as many, and what they are called."""

from __future__ import annotations

from typing import Any

from baimu.datasets.source import Splits
from baimu.errors import TrainingError
from baimu.recipes import Recipe


def check_classes(model: Any, splits: Splits) -> None:
    """Raises :class:`~baimu.errors.TrainingError` unless ``model`` has as many classes as the data."""
    names = splits.train.classes
    if model.num_classes != len(names):
        raise TrainingError(
            f"the model has num_classes={model.num_classes}, the data {len(names)} classes "
            f"({', '.join(names)}); build it with num_classes={len(names)}"
        )


def know_classes(model: Any, splits: Splits, recipe: Recipe) -> None:
    """The names of the classes, and the input sizes of ``recipe``."""
    model.preprocess = model.preprocess.replace(**recipe.sizes())
    model.classes = tuple(splits.train.classes)
