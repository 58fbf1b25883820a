"""``baimu.eval``: a trained model's scores on a data set."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from baimu.datasets.open import open_data, open_source
from baimu.datasets.workers import naming_images
from baimu.inference.options import check_count, check_options, option_types
from baimu.inference.predictor import Precision, place
from baimu.inference.tasks import options_of as options_of_predicting
from baimu.metrics.classification import ClassScores
from baimu.metrics.scores import BoxScores
from baimu.metrics.segmentation import MapScores
from baimu.metrics.text import ReadingScores
from baimu.training.tasks import task_of
from baimu.weights.checkpoint import load

OPTION = "option of this evaluation"
_OF_A_TRAINING = {"batch_size", "workers", "precision", "accelerator", "truth"}
"""Keyword arguments of a task's scoring that are no ``options``: they are of :func:`eval` itself, or of a training."""


def eval(
    model: nn.Module | str | Path,
    data: Any,
    *,
    split: str | None = None,
    val_fraction: float | None = None,
    split_seed: int = 0,
    batch_size: int = 8,
    workers: int = 0,
    precision: Precision = "fp32",
    device: str | torch.device | None = None,
    **options: Any,
) -> BoxScores | ClassScores | MapScores | ReadingScores:
    """The figures and the table per class of ``model`` (or its checkpoint or run folder) on ``data``: of a detector
    COCO's twelve, those of masks too where both have them; of a classifier, of texts too, accuracy, precision, recall
    and calibration; of a reader error rates of characters and words.

    ``data`` is whatever :func:`baimu.train` takes. What is scored: the named ``split``; or with ``val_fraction`` the
    images that training with the same ``val_fraction`` and ``split_seed`` held out; or else val, or test, or all there
    is. Classes are matched by name; objects found of classes that the data does not have are left out. Runs on the GPU
    where there is one. Raises :class:`~baimu.errors.CheckpointError` or :class:`~baimu.errors.DataError` if the data
    has classes that the model does not know. ``options`` are for a segmenter, whose figures are mean IoU, accuracy and
    Dice: ``window``, ``scales`` and ``flip`` as of :func:`baimu.predict`.
    """
    network: Any = model if isinstance(model, nn.Module) else load(model)
    task = task_of(network)
    check_options(OPTION, options, options_of(network))
    check_count("batch_size", batch_size)
    check_count("workers", workers, 0)
    if val_fraction is not None:
        source = open_data(data, val_fraction=val_fraction, seed=split_seed, **task.opening(network)).val
    else:
        source = open_source(data, split, **task.opening(network))
    source = task.matched(source, network)
    if problems := getattr(source, "problems", ()):
        more = f" and {len(problems) - 1:,} more" if len(problems) > 1 else ""
        warnings.warn(
            f"{data}: not all is scored as it stands: {problems[0]}{more}; see baimu data check", stacklevel=2
        )
    place(network, device)
    how: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "precision": precision, **options}
    with naming_images():
        return task.score_model(network, source, accelerator=None, **how)


def options_of(model: nn.Module) -> dict[str, Any]:
    """The ``options`` of :func:`eval` for this model, and their types: those that scoring its task has, and of a
    segmenter those of predicting."""
    score_model = task_of(model).score_model
    own = {name: kind for name, kind in option_types(score_model).items() if name not in _OF_A_TRAINING}
    passed_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(score_model).parameters.values())
    return {**own, **(options_of_predicting(model) if passed_on else {})}
