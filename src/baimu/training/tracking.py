"""Training and scoring trackers of one object: pairs of frames in, followed sequences out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.pairs import pairs_per_epoch, train_pairs
from baimu.datasets.source import SequenceSource, Splits
from baimu.errors import TrainingError
from baimu.inference.predictor import Precision
from baimu.metrics.sot import SotScores, run_once
from baimu.recipes import Recipe
from baimu.training.share import Share
from baimu.training.together import in_turn, place_of, together
from baimu.training.track_pictures import draw_pairs, draw_tracking

QUICK_SEQUENCES, QUICK_FRAMES = 12, 40
"""What is followed at most after an epoch; the best checkpoint is scored on all of the held-out data at the end."""
SEEN_ANEW = 20
"""Times that a frame of small data is drawn in an epoch, at most."""


class TrackingTask(Share):
    """Batches of pairs, and GOT-10k's AO over the held-out sequences, shared by all processes."""

    unit = "sequences"
    score = "ao"
    score_names = ("ao", "sr_50", "sr_75", "success_auc", "precision_20")

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "sequences"}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[SequenceSource], *, scratch: bool) -> Recipe:
        """As many pairs an epoch as small data can give, and a warm-up that is a tenth at most."""
        del scratch
        frames = sum(splits.train.frames(i) for i in range(len(splits.train)))
        published = recipe.pairs_per_epoch or frames
        return recipe.replace(pairs_per_epoch=max(recipe.batch_size, min(published, SEEN_ANEW * frames)))

    @staticmethod
    def make(
        name: str, splits: Splits[SequenceSource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        del splits, scratch
        return zoo.create_model(name, **arguments), ""

    @staticmethod
    def check(model: Any, splits: Splits[SequenceSource]) -> None:
        """Whatever has frames can be followed."""
        del splits
        for part in ("exemplar_size", "search_size", "tracker"):
            if not hasattr(model, part):
                raise TrainingError(f"{type(model).__name__} has no {part}, which a tracker of one object must tell")

    @staticmethod
    def prepare(model: Any, splits: Splits[SequenceSource], recipe: Recipe) -> None:
        """A tracker knows no classes, and its input sizes are its own."""
        del model, splits, recipe

    @staticmethod
    def matched(source: SequenceSource, model: Any) -> SequenceSource:
        del model
        return source

    @staticmethod
    def score_model(
        model: Any,
        source: SequenceSource,
        *,
        batch_size: int = 1,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
        most: tuple[int, int] | None = None,
    ) -> SotScores:
        """Process r follows the sequences r, r + n, … in one pass; ``most``: so many sequences, evenly chosen, and so
        many frames of each. A tracker sees frame by frame: batches, workers and precision are not for it."""
        del batch_size, workers, precision
        rank, world = place_of(accelerator)
        numbers, frames = np.arange(len(source)), None
        if most is not None:
            numbers = np.unique(np.linspace(0, len(source) - 1, min(most[0], len(source))).round().astype(int))
            frames = most[1]
        share = [run_once(model.tracker(), source, int(i), most=frames) for i in numbers[rank::world]]
        return together(accelerator, share, lambda shares: SotScores(tuple(in_turn(shares))))

    def __init__(self, splits: Splits[SequenceSource], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        pairs = pairs_per_epoch(splits.train, recipe)
        super().__init__(splits, model, recipe, accelerator, length=pairs, known={"pairs_per_epoch": pairs})
        self.sizes = (model.exemplar_size, model.search_size)

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_pairs(self.splits.train, recipe, self.sizes, **part)

    def draw_data(self, folder: Path) -> None:
        draw_pairs(folder, self.splits, self.first_batch())

    draw_scores = staticmethod(draw_tracking)

    def evaluate(self, model: Any) -> dict[str, float]:
        """Of a part of the held-out sequences, the same after every epoch."""
        figures = self.scores(model, most=(QUICK_SEQUENCES, QUICK_FRAMES)).figures()
        return {name: figures[name] for name in self.score_names}
