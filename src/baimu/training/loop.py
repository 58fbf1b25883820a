"""The training loop. There is one, for every task: what differs lies in the task and in the model's losses methods."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from baimu.layers.gates import without_gates
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.finite import FiniteWatch
from baimu.training.renew import renew_statistics
from baimu.training.sharding import gather
from baimu.training.step import Phase

if TYPE_CHECKING:
    from baimu.training.record import Record
    from baimu.training.saver import Saver
    from baimu.training.tasks import Task


@dataclass
class Place:
    """Where a training stands: whole epochs done, optimiser steps done in the running one, and steps in all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


@dataclass
class Training:
    """Everything a running training consists of."""

    accelerator: Accelerator
    recipe: Recipe
    task: Task
    model: nn.Module
    phases: Sequence[Phase]
    average: AveragedModel | None
    whole: nn.Module | None  # where the parameters are sharded: a model to gather them in
    place: Place
    record: Record
    saver: Saver
    watch: FiniteWatch

    def judged(self) -> nn.Module:
        """The model that is evaluated and exported, in evaluation mode: the moving average where there is one, and a
        copy without gates where there are any.

        Sharded parameters are gathered into a whole model first, so every process must call this.
        """
        if self.average is not None:
            return without_gates(self.average.module).eval()
        return without_gates(self.model if self.whole is None else gather(self.model, self.whole)).eval()


def fit(training: Training) -> None:
    """Train from ``training.place`` to the recipe's end, or until ``patience`` evaluations brought no better score.

    The state after each step is a function of the state before it, and all of it is in ``last.safetensors``: a run
    that is continued ends, on a CPU, with the very weights of one that was never stopped.
    """
    recipe, place, task = training.recipe, training.place, training.task
    while place.epoch < recipe.epochs and not training.record.stale(recipe.patience):
        training.model.train()
        for parts in task.steps(place.epoch, skip=place.batch):
            rate = training.phases[0].lr
            figures = optimise(training, parts)
            place.batch += 1
            place.step += 1
            training.record.add(figures, place, rate)
            if recipe.save_every and place.step % recipe.save_every == 0:
                training.saver.save_last(training)

        training.watch.settle()
        place.epoch, place.batch = place.epoch + 1, 0
        scores = None
        if place.epoch % recipe.eval_every == 0 or place.epoch == recipe.epochs:
            if recipe.precise_bn_batches:
                renew_statistics(training)
            scores = task.evaluate(training.judged())
        if training.record.close_epoch(place, scores):
            training.saver.save_best(training)
        training.saver.save_last(training)


def optimise(training: Training, parts: Sequence[Batch]) -> dict[str, Tensor]:
    """One step on a batch that comes in ``parts`` of equal size: every phase once. Returns the figures to record.

    The gradient is that of the mean over the parts; processes exchange it once, with the last of them.
    """
    accelerator, step_number = training.accelerator, training.place.step + 1
    figures: dict[str, Tensor] = {}
    for phase in training.phases:
        phase.begin()
        for part in parts:
            with nullcontext() if part is parts[-1] else accelerator.no_sync(phase.step):
                losses = phase.step(phase.method, part.inputs, part.targets)
                training.watch.look(losses, part.names, step_number)
                accelerator.backward(sum(losses.values()) / len(parts))
            for key, loss in losses.items():
                figures[key] = figures.get(key, 0.0) + loss.detach() / len(parts)
        if training.recipe.clip_norm is not None:
            norm: Any = accelerator.clip_grad_norm_(phase.parameters.values(), training.recipe.clip_norm)
            if accelerator.scaler is None:  # scaled fp16 gradients may overflow: that step is skipped, not wrong
                names = [name for part in parts for name in part.names]
                training.watch.look({"gradient norm": norm}, names, step_number)
        phase.update()
    if after_step := getattr(training.model, "after_step", None):  # weights that must keep within a norm
        after_step()
    if training.average is not None:
        training.average.update_parameters(training.model)
    return figures
