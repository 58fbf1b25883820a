"""The moving average of a model's weights, in float32: what is evaluated and exported when a recipe asks for it."""

from __future__ import annotations

from typing import Any

from torch import (
    _foreach_copy_ as foreach_copy,  # pyright: ignore[reportPrivateImportUsage] - one call for all tensors
)
from torch import _foreach_lerp_ as foreach_lerp  # pyright: ignore[reportPrivateImportUsage]
from torch import nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """A float32 copy of ``model`` that follows it: ``a ← d a + (1 − d) w`` with ``d = min(decay, (1 + t) / (10 + t))``.

    ``t`` counts the updates: the ramp of TensorFlow's ``ExponentialMovingAverage`` keeps the random start of a short
    run out of its average. Buffers such as running statistics are averaged too; whole numbers are copied.
    """

    def blend(averages: Any, values: Any, _: Any) -> None:
        if not averages[0].is_floating_point():
            foreach_copy(averages, values)
            return
        updates = int(average.n_averaged)  # a tensor on the host: reading it waits for nothing
        ramp = min(decay, (1 + updates) / (10 + updates))
        foreach_lerp(averages, values, 1.0 - ramp)

    average = AveragedModel(model, multi_avg_fn=blend, use_buffers=True).float()
    average.requires_grad_(False)
    return average.eval()
