"""The one figure that losses need from the other processes of a training."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def reduce_mean(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes, without gradient; alone, ``value`` itself, and nothing waits.

    A detector divides its summed loss by the number of positives. Data-parallel training averages gradients over the
    processes, so two processes equal one with the double batch only if each divides by the *mean* count:
    ``count = reduce_mean(positives.sum().float()).clamp(min=1)``. Every process must call it equally often, also
    one whose images hold no object.
    """
    value = value.detach()
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
