"""Training and scoring models that make images of images: of pairs, of two domains, and large ones of small ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.image_batches import items, train_image_batches
from baimu.datasets.source import ClassificationSource, PairSource, Splits
from baimu.errors import BaimuError, CheckpointError, TrainingError
from baimu.metrics.images import ImageScores
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.share import Share
from baimu.training.step import PhaseSpec
from baimu.training.translation_pictures import draw_image_data, draw_image_results, write_samples
from baimu.training.translation_scores import FIGURES, score_translator
from baimu.weights.checkpoint import read_trained

SEEN = 200_000
"""Pairs, images or crops that a training shows altogether, unless its recipe is shorter."""

AN_EPOCH = 1_000
"""Crops that an epoch of few images has, as many of each."""

EVALUATIONS = 20
"""About so many a training, each of which leaves a sheet of samples."""


class GenerationTask(Share):
    """Batches from the loader, figures of the held-out images over all processes, samples at every evaluation."""

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        return {"kind": _learns_from(model) if isinstance(model, str) else getattr(model, "learns_from", "")}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[Any], *, scratch: bool) -> Recipe:
        """As long as to show :data:`SEEN`, at most as published; of few images more crops an epoch; evaluated about
        :data:`EVALUATIONS` times."""
        del scratch  # trained weights go through the same
        count, crops = len(splits.train), recipe.crops
        if recipe.resize == "none" and recipe.crops > 1:
            crops = math.ceil(max(AN_EPOCH, 16 * recipe.batch_size) / count)
        epochs = max(1, min(recipe.epochs, round(SEEN / (count * crops))))
        return recipe.replace(epochs=epochs, crops=crops, eval_every=max(1, epochs // EVALUATIONS))

    @staticmethod
    def make(name: str, splits: Splits[Any], arguments: Mapping[str, Any], *, scratch: bool) -> tuple[nn.Module, str]:
        del splits, scratch
        return zoo.create_model(name, **arguments), ""

    @staticmethod
    def check(model: Any, splits: Splits[Any]) -> None:
        """Raises :class:`~baimu.errors.TrainingError` for data of another kind."""
        wanted = {"image pairs": PairSource, "image domains": ClassificationSource}.get(model.learns_from)
        for source in splits:
            if wanted is not None and not isinstance(source, wanted):
                raise TrainingError(f"{source!r}: the model learns from {model.learns_from}; give such data")

    @staticmethod
    def prepare(model: Any, splits: Splits[Any], recipe: Recipe) -> None:
        """The input sizes of ``recipe``, the names of two domains, and the features that images are compared by."""
        _check_recipe(model, recipe)
        model.preprocess = model.preprocess.replace(**recipe.sizes())
        if model.learns_from == "image domains":
            model.classes = tuple(splits.train.classes)
        perceptual = getattr(model, "perceptual", None)
        if perceptual is not None and not perceptual.trained:
            trained = read_trained(model.features)
            try:
                perceptual.load(trained.state)
            except RuntimeError as error:
                raise CheckpointError(f"{model.features}: is no VGG-19, which features= asks for ({error})") from None

    @staticmethod
    def matched(source: Any, model: Any) -> Any:
        """``source`` itself. Raises :class:`~baimu.errors.CheckpointError` where its domains have other names."""
        if model.learns_from == "image domains" and tuple(source.classes) != tuple(model.classes):
            raise CheckpointError(
                f"the model knows the domains {', '.join(model.classes)}, the data has {', '.join(source.classes)}; "
                "give both the same, in the same order"
            )
        return source

    @staticmethod
    def score_model(
        model: Any,
        source: Any,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Any = "fp32",
        accelerator: Accelerator | None = None,
    ) -> ImageScores:
        """Process r looks at the images r, r + n, …."""
        return score_translator(
            model, source, batch_size=batch_size, workers=workers, precision=precision, accelerator=accelerator
        )

    def __init__(self, splits: Splits[Any], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        super().__init__(splits, model, recipe, accelerator, length=items(model, splits.train, recipe))
        self.model = model
        self.phases: tuple[PhaseSpec, ...] = tuple(PhaseSpec(*phase) for phase in model.phases)
        self.score_names: tuple[str, ...] = FIGURES[model.learns_from]
        self.score = self.score_names[0]
        self._epoch = 0

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_image_batches(self.model, self.splits.train, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_image_data(folder, self.splits, self.first_batch(), self.model)

    draw_scores = staticmethod(draw_image_results)

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        self._epoch = epoch
        return super().steps(epoch, skip)

    def evaluate(self, model: Any) -> dict[str, float]:
        """The figures; beside them the same held-out images as the model makes them now, in ``samples``."""
        scores = self.scores(model)
        if self.accelerator.is_main_process and self.accelerator.project_dir is not None:
            folder = Path(self.accelerator.project_dir) / "samples"
            write_samples(model, self.splits.val, folder / f"epoch_{self._epoch + 1:04d}.png")
        return scores.figures()


@functools.cache
def _learns_from(name: str) -> str:
    """What a model of the catalogue learns from; its class says so, so one is made without memory for its numbers."""
    with torch.device("meta"):
        return getattr(zoo.create_model(name), "learns_from", "")


def _check_recipe(model: Any, recipe: Recipe) -> None:
    if recipe.resize not in ("stretch", "none"):
        raise BaimuError(
            f"resize={recipe.resize} is for classifiers and detectors; makers of images take stretch or none"
        )
    if model.learns_from == "images" and recipe.resize != "none":
        raise BaimuError(f"resize={recipe.resize}: super-resolution learns from crops of whole images; leave it none")
    step = model.scale if model.learns_from == "images" else model.multiple
    if recipe.size % step:
        raise BaimuError(f"size={recipe.size}: this model's images have sides of a multiple of {step} pixels")
    crop = getattr(getattr(model, "discriminator", None), "crop", recipe.size)
    if crop != recipe.size:
        raise BaimuError(f"size={recipe.size}: the discriminator is made for crops of {crop}; set model.crop as well")
    for field in ("mosaic", "mixup", "crop", "scale_jitter", "mixup_alpha", "cutmix_alpha", "crop_padding"):
        if getattr(recipe, field):
            raise BaimuError(f"{field} is for detectors or classifiers; makers of images have flip and crop_share")
