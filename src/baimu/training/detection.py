"""Training and scoring detectors: boxes, and masks where the model learns from them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.annotations import require_masks
from baimu.datasets.batches import Batches
from baimu.datasets.loader import eval_batches, train_batches
from baimu.datasets.source import DetectionSource, Splits
from baimu.errors import BaimuError, CheckpointError, DataError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.coco import coco_evaluate
from baimu.metrics.scores import BoxScores, figure_names
from baimu.metrics.tables import Truth, truth_table
from baimu.recipes import Recipe
from baimu.results import Detections
from baimu.training.knowing import check_classes, know_classes
from baimu.training.pictures import draw_data, draw_results
from baimu.training.share import Share
from baimu.training.together import in_turn, place_of, together


class DetectionTask(Share):
    """Batches from the loader, COCO's AP over all processes."""

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        return {"kind": "detection", "masks": _needs_masks(model)}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits, *, scratch: bool) -> Recipe:
        """As published, which already was for data like a user's."""
        del splits, scratch
        return recipe

    @staticmethod
    def make(name: str, splits: Splits, arguments: Mapping[str, Any], *, scratch: bool) -> tuple[nn.Module, str]:
        """``scratch``: in the form for it, where the method has one."""
        own = {"num_classes": len(splits.train.classes), **arguments}
        if scratch and "scratch" in inspect.signature(zoo.builder_of(name)).parameters:
            own = {"scratch": True, **own}
        return zoo.create_model(name, **own), ""

    check = staticmethod(check_classes)
    prepare = staticmethod(know_classes)

    @staticmethod
    def score_model(
        model: Any,
        source: DetectionSource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
        truth: Truth | None = None,
    ) -> BoxScores:
        """Process r detects in the images r, r + n, …. Masks are held and sent as run lengths. ``truth`` as for
        :func:`~baimu.metrics.coco.coco_evaluate`."""
        rank, world = place_of(accelerator)
        batches = eval_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
        predictor = Predictor(model, score_threshold=None, precision=precision)
        share = [_in_classes_of(source, found) for batch in batches for found in predictor.predict_batch(batch)]
        return together(accelerator, share, lambda shares: coco_evaluate(source, in_turn(shares), truth=truth))

    @staticmethod
    def matched(source: DetectionSource, model: Any) -> DetectionSource:
        """As it is, for objects that are found of classes the data lacks will be left out."""
        if not set(source.classes) <= set(model.classes):
            raise CheckpointError(
                f"the model knows the classes {', '.join(model.classes)}; the data has {', '.join(source.classes)}; "
                "evaluate on data whose classes the model knows by the same names"
            )
        return source

    def __init__(self, splits: Splits[DetectionSource], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        self.masks = _needs_masks(model)
        if self.masks:
            for source in splits:
                require_masks(source)
        if splits.train.classes != splits.val.classes:
            raise DataError(
                f"train names the classes {splits.train.classes}, val {splits.val.classes}; make them equal"
            )
        if recipe.resize == "crop":
            raise BaimuError("resize=crop cuts objects away; a detector takes shortest, letterbox, stretch or none")
        super().__init__(splits, model, recipe, accelerator)
        self.score = "mask_ap" if self.masks else "box_ap"
        self.score_names = figure_names(masks=self.masks)

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_batches(self.splits.train, self.preprocess, recipe, masks=self.masks, **part)

    def draw_data(self, folder: Path) -> None:
        draw_data(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_results)

    def scores(self, model: Any, **options: Any) -> BoxScores:
        return super().scores(model, truth=self.truth if self.accelerator.is_main_process else None, **options)

    @cached_property
    def truth(self) -> Truth:
        """The held-out objects, whose masks are drawn and packed once for all evaluations."""
        return truth_table(self.splits.val, masks=self.masks)


def _needs_masks(model: str | nn.Module) -> bool:
    """Whether a model, or what the name function of this name says it returns, learns from masks."""
    if not isinstance(model, str):
        return getattr(model, "needs_masks", False)
    builder = zoo.builder_of(model)
    kind = inspect.signature(builder).return_annotation
    return getattr(getattr(inspect.getmodule(builder), str(kind), kind), "needs_masks", False)


def _in_classes_of(source: DetectionSource, found: Detections) -> Detections:
    """``found`` with the labels of ``source``, without what it has no name for."""
    names = tuple(source.classes)
    if found.names == names:
        return found
    labels = np.array([names.index(name) if name in names else -1 for name in found.names])[found.labels]
    return replace(found[labels >= 0], labels=labels[labels >= 0], names=names)
