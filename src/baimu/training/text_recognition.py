"""Training and scoring readers of text lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import steps_per_epoch
from baimu.datasets.line_batches import eval_line_batches, train_line_batches, widths
from baimu.datasets.lines import Lines
from baimu.datasets.source import ReadingSource, Splits
from baimu.errors import BaimuError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.text import FIGURES, ReadingScores, score_readings
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.fitting import fast_bf16
from baimu.training.knowing import check_classes, know_classes
from baimu.training.line_pictures import draw_line_data, draw_line_results
from baimu.training.step import PhaseSpec
from baimu.training.together import place_of, together

FEW = 200_000
"""From this many lines on, the published length and optimiser stay."""

SEEN = 150_000
"""Lines that a training on few shows altogether, within ``EPOCHS``."""

EPOCHS = (10, 60)


class TextRecognitionTask:
    """Lines of about the same width share a batch; what decides is 1-NED, the similarity of texts and readings."""

    phases: tuple[PhaseSpec, ...] = (PhaseSpec("losses"),)
    score = FIGURES[0]
    score_names = FIGURES

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "text_recognition"}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[ReadingSource], *, scratch: bool) -> Recipe:
        """Below 200,000 lines AdamW learns along a cosine for 10 to 60 epochs, from lines that are changed at random;
        where the processor multiplies bfloat16 matrices itself, they are. The numbers are usual ones, not tuned."""
        changes: dict[str, Any] = {"precision": "bf16"} if fast_bf16() else {}
        if len(splits.train) < FEW:
            shortest, longest = EPOCHS
            changes |= {
                "epochs": min(longest, max(shortest, round(SEEN / len(splits.train)))),
                "batch_size": 32,
                "optimizer": "adamw",
                "lr": 1e-3 if scratch else 3e-4,
                "momentum": None,
                "square_momentum": None,
                "weight_decay": 0.01,
                "norm_decay": False,
                "bias_decay": False,
                "clip_norm": 5.0,
                "schedule": "cosine",
                "warmup_steps": 200,
                "scale_jitter": (0.85, 1.2),
                "color_jitter": 0.3,
                "distortion": 0.7,
            }
        return recipe.replace(**changes)

    @staticmethod
    def make(
        name: str, splits: Splits[ReadingSource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        del scratch
        count = len(splits.train.classes)
        return zoo.create_model(name, **{"num_classes": count, **arguments}), f"reads {count} characters"

    check = staticmethod(check_classes)
    prepare = staticmethod(know_classes)

    @staticmethod
    def matched(source: ReadingSource, model: Any) -> ReadingSource:
        """With the case of ``model``; characters that it does not know stay, as mistakes."""
        return source.like(model, "the model") if isinstance(source, Lines) else source

    @staticmethod
    def score_model(
        model: Any,
        source: ReadingSource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
    ) -> ReadingScores:
        """Greedy readings. Process r reads the lines r, r + n, … of those sorted by width."""
        rank, world = place_of(accelerator)
        batches = eval_line_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
        predictor = Predictor(model, precision=precision)
        share = [
            (index, found.text, found.score)
            for batch in batches
            for index, found in zip(batch.indices, predictor.predict_batch(batch), strict=True)
        ]

        def finish(shares: list[Any]) -> ReadingScores:
            rows = sorted(row for own in shares for row in own)
            truths = [source.text(i) for i in range(len(source))]
            return score_readings(truths, [text for _, text, _ in rows], [score for _, _, score in rows])

        return together(accelerator, share, finish)

    def __init__(self, splits: Splits[ReadingSource], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        if recipe.resize != "height" or recipe.size != model.height:
            raise BaimuError(
                f"resize={recipe.resize} size={recipe.size}: this model reads lines with resize=height "
                f"size={model.height}"
            )
        self.splits = Splits(wide_enough(splits.train, model), splits.val)
        self.preprocess, self.recipe = model.preprocess, recipe
        self.accelerator = accelerator
        self.rank, self.world = place_of(accelerator)
        self.steps_per_epoch = steps_per_epoch(len(self.splits.train), recipe, self.world)
        self.fingerprint = {
            "characters": "".join(splits.train.classes),
            "train_lines": len(self.splits.train),
            "val_lines": len(splits.val),
        }

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        parts = train_line_batches(
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

    def scores(self, model: Any) -> ReadingScores:
        """All that the metric says of the held-out lines, the same in every process; in fp32, as users will predict."""
        batch_size = max(1, self.recipe.batch_size // self.recipe.accumulate // self.world)
        return self.score_model(
            model, self.splits.val, batch_size=batch_size, workers=self.recipe.workers, accelerator=self.accelerator
        )

    def draw_data(self, folder: Path) -> None:
        recipe = self.recipe.replace(workers=0)
        batches = train_line_batches(self.splits.train, self.preprocess, recipe, epoch=0, world=self.world)
        draw_line_data(folder, self.splits, next(iter(batches)))

    def draw_results(self, model: Any, folder: Path) -> str:
        scores = self.scores(model)
        if self.accelerator.is_main_process:
            draw_line_results(folder, self.splits, model, scores)
        return str(scores)


def wide_enough(source: ReadingSource, model: Any) -> ReadingSource:
    """The lines that have a column for each character, and one between equal neighbours: CTC can learn no other."""
    columns = np.asarray(model.columns_of(widths(source, model.preprocess)))
    texts = [source.text(i) for i in range(len(source))]
    needed = np.array([len(text) + sum(a == b for a, b in itertools.pairwise(text)) for text in texts])
    narrow = np.flatnonzero(columns < needed).tolist()
    if len(narrow) == len(source):
        raise TrainingError("no line is wide enough for its text; check that lines are upright and texts their own")
    if not narrow:
        return source
    why = {i: f"needs {needed[i]} columns and is wide enough for {columns[i]}" for i in narrow}
    return (
        source.without(why) if isinstance(source, Lines) else source.select(sorted({*range(len(source))} - why.keys()))
    )
