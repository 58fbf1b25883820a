"""Batch norm's statistics before an evaluation: those of the present weights, not of the last thousand steps'."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import torch

from baimu.layers.precise_norm import precise_statistics
from baimu.training.step import TrainStep

if TYPE_CHECKING:
    from baimu.training.loop import Training


def renew_statistics(training: Training) -> None:
    """Let ``recipe.precise_bn_batches`` training batches a process pass through the model that will be judged.

    They come from the epoch that is about to begin and pass in training mode, without a gradient, through everything
    that the losses run. Random states are afterwards what they were.
    """
    recipe, accelerator = training.recipe, training.accelerator
    model: Any = training.model if training.average is None else training.average.module
    step = TrainStep(model.train(), channels_last=recipe.channels_last)
    batches = chain.from_iterable(training.task.steps(training.place.epoch, 0))
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), accelerator.autocast(), precise_statistics(model):
        for batch in islice(batches, recipe.precise_bn_batches):
            for phase in training.phases:
                step(phase.method, batch.inputs, batch.targets)
