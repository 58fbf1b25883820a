"""Population statistics of batch norm, computed instead of remembered.

Rethinking "Batch" in BatchNorm (Wu, Johnson 2021), arXiv 2105.07576 §3 (PreciseBN). The running averages that batch
norm keeps in training lag behind the weights and weigh the last batches most. Here the weights stand still while some
batches pass, and the statistics become those of all that passed: mean, and variance by the law of total variance.

Differences from the paper: batches of different sizes count by their sizes; the variance is the unbiased one, as
``nn.BatchNorm2d`` remembers it. Each batch is still normalised by its own statistics on its way, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

Norm = nn.modules.batchnorm._BatchNorm


@contextmanager
def precise_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms that are in training mode get the statistics of everything that passes through them in the block.

    ::

        with torch.no_grad(), precise_statistics(model.train()):
            for images in batches:
                model(images)

    Where several processes train together, each must enter and leave the block, and all get the statistics of what
    passed in any of them. Norms that nothing reaches, frozen ones, and those in evaluation mode stay as they are, and
    so do all if the block raises.
    """
    norms: list[Any] = [m for m in model.modules() if isinstance(m, Norm) and m.training and m.track_running_stats]
    state = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    seen = [Population() for _ in norms]
    hooks = [norm.register_forward_pre_hook(population.hook) for norm, population in zip(norms, seen, strict=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm, values in zip(norms, state, strict=True):
            for buffer, value in zip(norm.buffers(), values, strict=True):
                buffer.copy_(value)
    for norm, population in zip(norms, _of_all_processes(seen), strict=True):
        if population.count:
            norm.running_mean.copy_(population.mean)
            norm.running_var.copy_(population.squares / max(1, population.count - 1))


@dataclass
class Population:
    """Values a channel, their mean and their summed squared deviations from it, on the host in float64."""

    count: int = 0
    mean: Any = 0.0
    squares: Any = 0.0

    def hook(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take in the values (B, C, …) on their way into a layer."""
        (x,) = inputs
        axes = [0, *range(2, x.dim())]
        var, mean = torch.var_mean(x.detach().float(), axes, correction=0)
        count = x.numel() // x.shape[1]
        self.join(Population(count, mean.cpu().double(), var.cpu().double() * count))

    def join(self, other: Population) -> None:
        """Become the population of both (Chan, Golub, LeVeque 1979)."""
        total = self.count + other.count
        if other.count:
            step = other.mean - self.mean
            self.mean = self.mean + step * (other.count / total)
            self.squares = self.squares + other.squares + step * step * (self.count * other.count / total)
            self.count = total


def _of_all_processes(seen: list[Population]) -> list[Population]:
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return seen
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, seen)
    joined = [Population() for _ in seen]
    for share in shares:
        for whole, part in zip(joined, share, strict=True):
            whole.join(part)
    return joined
