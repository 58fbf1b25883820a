"""Training and scoring readers of text lines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.line_batches import eval_line_batches, train_line_batches, widths
from baimu.datasets.lines import Lines
from baimu.datasets.source import ReadingSource, Splits
from baimu.errors import BaimuError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.text import FIGURES, ReadingScores, score_readings
from baimu.recipes import Recipe
from baimu.training.fitting import fast_bf16
from baimu.training.knowing import check_classes, know_classes
from baimu.training.line_pictures import draw_line_data, draw_line_results
from baimu.training.share import Share
from baimu.training.together import place_of, together

FEW = 200_000
"""From this many lines on, the published length and optimiser stay."""

SEEN = 150_000
"""Lines that a training on few shows altogether, within ``EPOCHS``."""

EPOCHS = (10, 60)


class TextRecognitionTask(Share):
    """Lines of about the same width share a batch; what decides is 1-NED, the similarity of texts and readings."""

    unit = "lines"
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
        known = {"characters": "".join(splits.train.classes)}
        splits = Splits(wide_enough(splits.train, model), splits.val)
        super().__init__(splits, model, recipe, accelerator, known=known)

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_line_batches(self.splits.train, self.preprocess, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_line_data(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_line_results)


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
