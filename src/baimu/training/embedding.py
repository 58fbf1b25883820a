"""Training and scoring embedders on images of identities; the held-out ones are of identities never learned from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.identity_batches import eval_identity_batches, train_identity_batches
from baimu.datasets.source import IdentitySource, Splits
from baimu.errors import BaimuError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.embedding import FIGURES, IdentityScores, score
from baimu.recipes import Recipe
from baimu.training.embedding_fitting import fitted_to_identities, small_side
from baimu.training.embedding_pictures import draw_identity_data, draw_identity_results
from baimu.training.knowing import know_classes
from baimu.training.share import Share
from baimu.training.together import in_turn, place_of, together

SMALL = 64
"""Images up to this side (their median) get a network for small images, where the family has one."""


class EmbeddingTask(Share):
    """Batches of identities, recall at 1 and its kin over all processes."""

    score = FIGURES[0]
    score_names: tuple[str, ...] = FIGURES

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "embedding"}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[IdentitySource], *, scratch: bool) -> Recipe:
        return fitted_to_identities(recipe, splits, scratch=scratch)

    @staticmethod
    def make(
        name: str, splits: Splits[IdentitySource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        """From ``scratch`` of the size that the images have, and for small ones where these are and the family can."""
        own, said = {"num_classes": len(splits.train.classes), **arguments}, ""
        with torch.device("meta"):
            usual: Any = zoo.create_model(name, **own)
        if not scratch:
            return zoo.create_model(name, **own), said
        side = small_side(zoo.recipe_of(name), splits.train)
        if usual.size is not None and side is not None and "size" not in arguments:
            own["size"] = side
            said = f"built for images of {side} pixels"
        if side is not None and side <= SMALL and "small_images" in inspect.signature(zoo.builder_of(name)).parameters:
            own.setdefault("small_images", True)
            said = "built for small images"
        return zoo.create_model(name, **own), said

    @staticmethod
    def check(model: Any, splits: Splits[IdentitySource]) -> None:
        """As many identities as there are to learn from."""
        if model.num_classes != len(splits.train.classes):
            raise TrainingError(
                f"the model has num_classes={model.num_classes}, the data {len(splits.train.classes)} identities to "
                f"learn from; build it with num_classes={len(splits.train.classes)}"
            )

    @staticmethod
    def prepare(model: Any, splits: Splits[IdentitySource], recipe: Recipe) -> None:
        """The names of the identities, and the input sizes of ``recipe``, which must be those of the model."""
        size = (recipe.size, recipe.width or recipe.size)
        if model.size is not None and tuple(model.size) != size:
            raise TrainingError(
                f"the model's last layer is made for images of {model.size[0]}x{model.size[1]} pixels, the recipe "
                f"gives {size[0]}x{size[1]}; build the model with size={recipe.size} (model.size={recipe.size} on the "
                "command line), or leave size away in both"
            )
        know_classes(model, splits, recipe)

    @staticmethod
    def matched(source: IdentitySource, model: Any) -> IdentitySource:
        """As it is: whom it shows need not be known."""
        del model
        return source

    @staticmethod
    def score_model(
        model: Any,
        source: IdentitySource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
    ) -> IdentityScores:
        """Process r embeds the images r, r + n, …."""
        rank, world = place_of(accelerator)
        batches = eval_identity_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
        predictor = Predictor(model, precision=precision)
        share = [found.vector for batch in batches for found in predictor.predict_batch(batch)]
        return together(accelerator, share, lambda shares: score(np.stack(in_turn(shares)), source))

    def __init__(self, splits: Splits[IdentitySource], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        _check(splits, recipe)
        super().__init__(splits, model, recipe, accelerator, known={"identities": len(splits.train.classes)})

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_identity_batches(self.splits.train, self.preprocess, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_identity_data(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_identity_results)


def _check(splits: Splits[IdentitySource], recipe: Recipe) -> None:
    shown = [splits.val.shown(i).identity for i in range(len(splits.val))]
    counts = np.bincount(np.array([i for i in shown if i >= 0], np.int64), minlength=1)
    if len(splits.val.classes) < 2 or counts.max() < 2:
        raise TrainingError(
            f"{getattr(splits.val, 'root', splits.val)}: the held-out images show {len(splits.val.classes)} "
            f"identities, at most {counts.max()} times; a search is scored on two or more, one of which has two images"
        )
    if recipe.resize not in ("crop", "stretch", "none"):
        raise BaimuError(f"resize={recipe.resize} pads images; an embedder takes crop, stretch or none")
    for field in ("mosaic", "mixup", "crop", "scale_jitter", "mixup_alpha", "cutmix_alpha"):
        if getattr(recipe, field):
            raise BaimuError(f"{field} makes images of nobody; embedders learn from images of one identity each")
