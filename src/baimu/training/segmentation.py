"""Training and scoring segmenters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import steps_per_epoch
from baimu.datasets.label_maps import same_maps
from baimu.datasets.map_batches import train_map_batches
from baimu.datasets.source import SegmentationSource, Splits
from baimu.errors import BaimuError, CheckpointError, DataError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.inference.sources import Item
from baimu.metrics.segmentation import FIGURES, MapScores, confusion_of, score_maps
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.knowing import check_classes, know_classes
from baimu.training.map_fitting import fitted_maps
from baimu.training.map_pictures import draw_map_data, draw_map_results
from baimu.training.step import PhaseSpec
from baimu.training.together import in_turn, place_of, together


class SegmentationTask:
    """Batches from the loader, mean IoU over all processes."""

    phases: tuple[PhaseSpec, ...] = (PhaseSpec("losses"),)
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
        self.splits, self.preprocess, self.recipe = splits, model.preprocess, recipe
        self.accelerator = accelerator
        self.rank, self.world = place_of(accelerator)
        self.steps_per_epoch = steps_per_epoch(len(splits.train), recipe, self.world)
        self.fingerprint: dict[str, Any] = {
            "classes": list(splits.train.classes),
            "train_images": len(splits.train),
            "val_images": len(splits.val),
        }

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        parts = train_map_batches(
            self.splits.train,
            self.preprocess,
            self.recipe,
            epoch=epoch,
            rank=self.rank,
            world=self.world,
            skip=skip * self.recipe.accumulate,
        )
        here = (part.to(self.accelerator.device) for part in parts)
        return zip(*[here] * self.recipe.accumulate, strict=True)

    def evaluate(self, model: Any) -> dict[str, float]:
        return self.scores(model).figures()

    def scores(self, model: Any) -> MapScores:
        """All that the metric says of the held-out split, the same in every process; in fp32, as users will predict."""
        batch_size = max(1, self.recipe.batch_size // self.recipe.accumulate // self.world)
        return self.score_model(
            model, self.splits.val, batch_size=batch_size, workers=self.recipe.workers, accelerator=self.accelerator
        )

    def draw_data(self, folder: Path) -> None:
        recipe = self.recipe.replace(workers=0)
        batches = train_map_batches(self.splits.train, self.preprocess, recipe, epoch=0, world=self.world)
        draw_map_data(folder, self.splits, next(iter(batches)))

    def draw_results(self, model: Any, folder: Path) -> str:
        scores = self.scores(model)
        if self.accelerator.is_main_process:
            draw_map_results(folder, self.splits, model, scores)
        return str(scores)


def _check(splits: Splits[SegmentationSource], recipe: Recipe) -> None:
    train, val = splits
    if tuple(train.classes) != tuple(val.classes):
        raise TrainingError(f"train names the classes {train.classes}, val {val.classes}; make them equal")
    if recipe.resize == "crop":
        raise BaimuError("resize=crop cuts pixels away; a segmenter takes shortest, letterbox, stretch or none")
    for field in ("mosaic", "mixup", "crop", "mixup_alpha", "cutmix_alpha", "label_smoothing"):
        if getattr(recipe, field):
            raise BaimuError(f"{field} is not for segmenters; they have scale_jitter, train_crop and photometric")
