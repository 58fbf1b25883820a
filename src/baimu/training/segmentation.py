"""Training and scoring segmenters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.label_maps import same_maps
from baimu.datasets.map_batches import train_map_batches
from baimu.datasets.source import SegmentationSource, Splits
from baimu.errors import BaimuError, CheckpointError, DataError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.inference.sources import Item
from baimu.metrics.segmentation import FIGURES, MapScores, confusion_of, score_maps
from baimu.recipes import Recipe
from baimu.training.knowing import check_classes, know_classes
from baimu.training.map_fitting import fitted_maps
from baimu.training.map_pictures import draw_map_data, draw_map_results
from baimu.training.share import Share
from baimu.training.together import in_turn, place_of, together


class SegmentationTask(Share):
    """Batches from the loader, mean IoU over all processes."""

    score = FIGURES[0]
    score_names = FIGURES

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "semantic_segmentation"}

    fitted = staticmethod(fitted_maps)

    @staticmethod
    def make(
        name: str, splits: Splits[SegmentationSource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        del scratch  # the same network, whatever it starts from
        return zoo.create_model(name, **{"num_classes": len(splits.train.classes), **arguments}), ""

    check = staticmethod(check_classes)
    prepare = staticmethod(know_classes)

    @staticmethod
    def matched(source: SegmentationSource, model: Any) -> SegmentationSource:
        """With the labels of ``model``, by name."""
        try:
            return same_maps(source, model)
        except DataError as error:
            raise CheckpointError(
                f"the model knows the classes {', '.join(model.classes)}, the data has {', '.join(source.classes)}; "
                f"evaluate on data of these classes ({error})"
            ) from None

    @staticmethod
    def score_model(
        model: Any,
        source: SegmentationSource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
        **options: Any,
    ) -> MapScores:
        """Process r segments the images r, r + n, …, each compared at its own size; ``workers`` are threads, and
        ``options`` those of :class:`~baimu.inference.segmenting.Segmenting`."""
        rank, world = place_of(accelerator)
        mine = range(rank, len(source), world)
        predictor = Predictor(model, precision=precision, **options)
        items = (Item(source.name(i), partial(source.image, i)) for i in mine)
        found = predictor.stream(items, batch_size=batch_size, workers=workers)
        count = len(source.classes)
        share = [confusion_of(source.label_map(i), f.labels, count) for i, f in zip(mine, found, strict=True)]

        def finish(shares: list[Any]) -> MapScores:
            return score_maps(in_turn(shares), source.classes)

        return together(accelerator, share, finish)

    def __init__(
        self, splits: Splits[SegmentationSource], model: Any, recipe: Recipe, accelerator: Accelerator
    ) -> None:
        _check(splits, recipe)
        super().__init__(splits, model, recipe, accelerator)

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_map_batches(self.splits.train, self.preprocess, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_map_data(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_map_results)


def _check(splits: Splits[SegmentationSource], recipe: Recipe) -> None:
    train, val = splits
    if tuple(train.classes) != tuple(val.classes):
        raise TrainingError(f"train names the classes {train.classes}, val {val.classes}; make them equal")
    if recipe.resize == "crop":
        raise BaimuError("resize=crop cuts pixels away; a segmenter takes shortest, letterbox, stretch or none")
    for field in ("mosaic", "mixup", "crop", "mixup_alpha", "cutmix_alpha", "label_smoothing"):
        if getattr(recipe, field):
            raise BaimuError(f"{field} is not for segmenters; they have scale_jitter, train_crop and photometric")
