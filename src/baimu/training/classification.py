"""Training and scoring classifiers, of one label an image or several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.class_batches import eval_class_batches, shares_of, train_class_batches
from baimu.datasets.labels import LabelSource
from baimu.datasets.source import ClassificationSource, Splits
from baimu.errors import BaimuError, CheckpointError, TrainingError, UnknownNameError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.classification import ClassScores, figure_names, score
from baimu.recipes import Recipe
from baimu.training.class_pictures import draw_class_data, draw_class_results
from baimu.training.fitting import fitted, sides
from baimu.training.knowing import check_classes, know_classes
from baimu.training.share import Share
from baimu.training.together import in_turn, place_of, together

SMALL = 64
"""Images up to this side (their median) get a network for small images, where the family has one."""


class ClassificationTask(Share):
    """Batches from the loader, top-1 accuracy (of several labels: mean average precision) over all processes."""

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "classification"}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[ClassificationSource], *, scratch: bool) -> Recipe:
        return fitted(recipe, splits, scratch=scratch)

    @staticmethod
    def make(
        name: str, splits: Splits[ClassificationSource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        """From ``scratch`` for small images, where these are and the family can."""
        own = {"num_classes": len(splits.train.classes), "multi_label": splits.train.multi_label, **arguments}
        side = int(np.median(sides(splits.train)))
        if scratch and side <= SMALL and "small_images" not in arguments:
            try:
                return zoo.create_model(name, small_images=True, **own), f"built for small images ({side} pixels)"
            except (TypeError, UnknownNameError) as error:
                if "small_images" not in str(error):
                    raise
        return zoo.create_model(name, **own), ""

    check = staticmethod(check_classes)
    prepare = staticmethod(know_classes)

    @staticmethod
    def matched(source: ClassificationSource, model: Any) -> ClassificationSource:
        """With the labels of ``model``, by name."""
        if isinstance(source, LabelSource):
            return source.like(model, "the model")
        if tuple(source.classes) != tuple(model.classes) or source.multi_label > model.multi_label:
            raise CheckpointError(
                f"the model knows the classes {', '.join(model.classes)}, the data has {', '.join(source.classes)}; "
                "give both the same, in the same order"
            )
        return source

    @staticmethod
    def score_model(
        model: Any,
        source: ClassificationSource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
    ) -> ClassScores:
        """Process r classifies the images r, r + n, …."""
        rank, world = place_of(accelerator)
        batches = eval_class_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
        predictor = Predictor(model, precision=precision)
        share = [found.probabilities for batch in batches for found in predictor.predict_batch(batch)]

        def finish(shares: list[Any]) -> ClassScores:
            probabilities = np.stack(in_turn(shares))
            return score(probabilities, shares_of(source, range(len(source))), source.classes, source.multi_label)

        return together(accelerator, share, finish)

    def __init__(
        self, splits: Splits[ClassificationSource], model: Any, recipe: Recipe, accelerator: Accelerator
    ) -> None:
        _check(splits, model, recipe)
        known = {"classes": list(splits.train.classes), "multi_label": splits.train.multi_label}
        super().__init__(splits, model, recipe, accelerator, known=known)
        self.score_names = figure_names(multi_label=splits.train.multi_label)
        self.score = self.score_names[0]

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_class_batches(self.splits.train, self.preprocess, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_class_data(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_class_results)


def _check(splits: Splits[ClassificationSource], model: Any, recipe: Recipe) -> None:
    train, val = splits
    if train.classes != val.classes:
        raise TrainingError(f"train names the classes {train.classes}, val {val.classes}; make them equal")
    if train.multi_label != model.multi_label or val.multi_label > model.multi_label:
        kinds = {False: "one label an image", True: "any number of labels an image"}
        raise TrainingError(
            f"the model is for {kinds[model.multi_label]}, the data has {kinds[train.multi_label]}; build it with "
            f"multi_label={train.multi_label}"
        )
    if recipe.resize not in ("crop", "stretch", "none"):
        raise BaimuError(f"resize={recipe.resize} pads images; a classifier takes crop, stretch or none")
    for field in ("mosaic", "mixup", "crop", "scale_jitter"):
        if getattr(recipe, field):
            raise BaimuError(
                f"{field} is for detectors; classifiers have crop_area, crop_ratio, mixup_alpha and cutmix_alpha"
            )
