"""The training loop. There is one, for every task: what differs lies in the task and in the model's losses methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel

from baimu.layers.gates import without_gates
from baimu.recipes import Recipe
from baimu.targets import Batch
from baimu.training.finite import FiniteWatch
from baimu.training.renew import renew_statistics
from baimu.training.sharding import gather
from baimu.training.smaller import Before, in_smaller_parts
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
        while not finish_epoch(training):
            in_smaller_parts(training)

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


def finish_epoch(training: Training) -> bool:
    """The steps of the running epoch that are left. False, if there was no memory for one of them: everything is
    then as it was before that step."""
    place, before = training.place, Before(training)
    training.model.train()
    for parts in training.task.steps(place.epoch, skip=place.batch):
        rate = training.phases[0].lr
        before.take()
        try:
            figures = optimise(training, parts)
        except torch.OutOfMemoryError:
            before.put_back()
            return False
        place.batch += 1
        place.step += 1
        training.record.add(figures, place, rate)
        if training.recipe.save_every and place.step % training.recipe.save_every == 0:
            training.saver.save_last(training)
    return True


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
        clip(training, phase, [name for part in parts for name in part.names])
        phase.update()
    if after_step := getattr(training.model, "after_step", None):  # weights that must keep within a norm
        after_step()
    if training.average is not None:
        training.average.update_parameters(training.model)
    return figures


def clip(training: Training, phase: Phase, images: Sequence[str]) -> None:
    """Have the gradients' norm at most ``clip_norm``, if there is one, and look whether they are finite: a step with
    others would end in the next save, before any loss could tell."""
    accelerator, most, sharded = training.accelerator, training.recipe.clip_norm, training.whole is not None
    parameters = [parameter for parameter in phase.parameters.values() if parameter.grad is not None]
    norm: Any
    if sharded:
        norm = accelerator.clip_grad_norm_(parameters, math.inf if most is None else most)
    else:
        if most is not None:
            accelerator.unscale_gradients()
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None], math.inf if most is None else 2.0)
    if accelerator.scaler is None:  # scaled fp16 gradients may overflow: that step is skipped, not wrong
        figures = {"gradient norm": norm}
        training.watch.look(figures, images, training.place.step + 1, phase.parameters)
    if most is not None and not sharded:
        clip_grads_with_norm_(parameters, most, norm)
