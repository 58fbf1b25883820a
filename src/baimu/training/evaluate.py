"""``baimu.eval``: a trained model's scores on a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from baimu.datasets.loader import eval_batches
from baimu.datasets.open import open_data, open_source
from baimu.datasets.source import DetectionSource
from baimu.detection.detector import Detector
from baimu.errors import CheckpointError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.coco import coco_evaluate
from baimu.metrics.scores import BoxScores
from baimu.metrics.tables import Truth
from baimu.results import Detections
from baimu.weights.checkpoint import load


def eval(
    model: Detector | str | Path,
    data: Any,
    *,
    split: str | None = None,
    val_fraction: float | None = None,
    split_seed: int = 0,
    batch_size: int = 8,
    workers: int = 0,
    precision: Precision = "fp32",
    device: str | torch.device | None = None,
) -> BoxScores:
    """COCO's twelve figures and the table per class of ``model`` (or its checkpoint or run folder) on ``data``; those
    of masks too where both have them.

    ``data`` is whatever :func:`baimu.train` takes. What is scored: the named ``split``; or with ``val_fraction`` the
    images that training with the same ``val_fraction`` and ``split_seed`` held out; or else val, or test, or all there
    is. Classes are matched by name; what the model finds of classes that the data does not have is left out. Runs on
    the GPU where there is one. Raises :class:`~baimu.errors.CheckpointError` if the data has classes that the model
    does not know.
    """
    if not isinstance(model, nn.Module):
        model = cast(Detector, load(model))
    if val_fraction is not None:
        source = open_data(data, val_fraction=val_fraction, seed=split_seed, masks=model.needs_masks).val
    else:
        source = open_source(data, split, masks=model.needs_masks)
    if not set(source.classes) <= set(model.classes):
        raise CheckpointError(
            f"the model knows the classes {', '.join(model.classes)}; the data has {', '.join(source.classes)}; "
            "evaluate on data whose classes the model knows by the same names"
        )
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return score_model(model, source, batch_size=batch_size, workers=workers, precision=precision)


def score_model(
    model: Detector,
    source: DetectionSource,
    *,
    batch_size: int,
    workers: int = 0,
    precision: Precision = "fp32",
    accelerator: Accelerator | None = None,
    truth: Truth | None = None,
) -> BoxScores:
    """Scores of ``model`` on all of ``source``; with an accelerator, shared by its processes.

    Process r detects in the images r, r + n, …; the first one scores them all, and every process gets the result.
    Masks are held and sent as run lengths. ``truth`` as for :func:`~baimu.metrics.coco.coco_evaluate`.
    """
    rank, world = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    batches = eval_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
    predictor = Predictor(model, precision=precision)
    share = [_in_classes_of(source, found) for batch in batches for found in predictor.detect_batch(batch)]
    if accelerator is None or world == 1:
        return coco_evaluate(source, share, truth=truth)
    numbered = gather_object(list(zip(range(rank, len(source), world), share, strict=True)))
    scores: list[Any] = [None]
    if accelerator.is_main_process:
        found = [found for _, found in sorted(numbered, key=lambda pair: pair[0])]
        scores = [coco_evaluate(source, found, truth=truth)]
    return broadcast_object_list(scores)[0]


def _in_classes_of(source: DetectionSource, found: Detections) -> Detections:
    """``found`` with the labels of ``source``, without what it has no name for."""
    names = tuple(source.classes)
    if found.names == names:
        return found
    labels = np.array([names.index(name) if name in names else -1 for name in found.names])[found.labels]
    return replace(found[labels >= 0], labels=labels[labels >= 0], names=names)
