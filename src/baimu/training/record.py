"""What a training tells of itself: rows of losses, the scores so far, trackers, and the lines on the screen."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from baimu.training.results_csv import ResultsFile, Row

if TYPE_CHECKING:
    from baimu.training.loop import Place
    from baimu.training.progress import Progress


class Record:
    """Means of the losses over short windows, one row each, and a row with the scores after each evaluated epoch.

    Losses are summed on the device and read once a row. ``state`` and ``restore`` carry everything over to a
    continued run, so that its results.csv is that of an uninterrupted run, but for the seconds.
    """

    def __init__(
        self, results: ResultsFile, score: str, steps_per_epoch: int, progress: Progress, accelerator: Accelerator
    ) -> None:
        self.results = results
        self.score = score  # name of the figure that decides which checkpoint is best; more is better
        self.evaluations: list[Row] = []
        self._progress = progress
        self._accelerator = accelerator
        self._steps_per_epoch = steps_per_epoch
        self._row_every = max(1, min(50, steps_per_epoch // 5))
        self._sums: dict[str, Tensor] = {}
        self._losses: tuple[str, ...] = ()
        self._count = 0
        self._lr = 0.0
        self._seconds = 0.0
        self._clock = time.perf_counter()

    @property
    def best(self) -> Row | None:
        """The evaluation with the best score, the first of equals; None before the first one."""
        return max(self.evaluations, key=self._rank, default=None)

    def stale(self, patience: int | None) -> bool:
        """Whether the last ``patience`` evaluations brought no better score."""
        best = self.best
        if patience is None or best is None:
            return False
        return len(self.evaluations) - 1 - self.evaluations.index(best) >= patience

    def add(self, figures: Mapping[str, Tensor], place: Place, lr: float) -> None:
        """Take the losses of the step that ended at ``place``; every so many steps, write a row of their means."""
        for key, value in figures.items():
            self._sums[key] = self._sums[key] + value if key in self._sums else value
        self._count += 1
        self._lr = lr
        self._progress.step(place, lr)
        if place.batch % self._row_every == 0 and place.batch < self._steps_per_epoch:
            self._write(self._window(place.epoch + 1, place.step))

    def note(self, text: str) -> None:
        """A line on the screen."""
        self._progress.note(text)

    def close_epoch(self, place: Place, scores: Mapping[str, float] | None) -> bool:
        """Write the epoch's last row; True if its score is the best so far. ``scores`` is None without evaluation."""
        self._write({**self._window(place.epoch, place.step), **(scores or {})})
        if scores is None:
            return False
        self.evaluations.append({"epoch": place.epoch, "step": place.step, **scores})
        return self.best is self.evaluations[-1]

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs, as plain JSON values; the rows so far are on the disk when this returns."""
        return {
            "rows": self.results.sync(),
            "sums": {key: float(value) for key, value in self._sums.items()},
            "count": self._count,
            "lr": self._lr,
            "seconds": self._elapsed(),
            "evaluations": [{k: None if math.isnan(v) else v for k, v in e.items()} for e in self.evaluations],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to ``state``; rows of results.csv that were written after it are dropped."""
        self.results.keep(state["rows"])
        self._sums = {k: torch.tensor(v, device=self._accelerator.device) for k, v in state["sums"].items()}
        self._count, self._lr = state["count"], state["lr"]
        self._seconds, self._clock = state["seconds"], time.perf_counter()
        self.evaluations = [{k: math.nan if v is None else v for k, v in e.items()} for e in state["evaluations"]]

    def _window(self, epoch: int, step: int) -> Row:
        """Means since the last row, over all processes, their sum ``loss``, and the rate of the last step."""
        keys = list(self._sums)
        self._losses = (*keys, "loss")
        means = torch.stack([self._sums[key].float() for key in keys]) / self._count
        means = cast(Tensor, self._accelerator.reduce(means, "mean")).tolist()
        self._sums, self._count = {}, 0
        losses = dict(zip(keys, means, strict=True))
        return {"epoch": epoch, "step": step, **losses, "loss": sum(means), "lr": self._lr}

    def _write(self, row: Row) -> None:
        row["seconds"] = round(self._elapsed(), 3)
        self.results.append(row)
        self._progress.row(row, shown=self._losses)
        self._accelerator.log({k: v for k, v in row.items() if k != "step"}, step=int(row["step"]))

    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._clock

    def _rank(self, evaluation: Row) -> float:
        value = evaluation[self.score]
        return -math.inf if math.isnan(value) else value
