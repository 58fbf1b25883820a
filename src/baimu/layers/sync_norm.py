"""Batch norm over the images of all processes: torch's on a GPU, and the same on a CPU, for which torch has none."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SyncBatchNorm2d(nn.SyncBatchNorm):
    """``nn.SyncBatchNorm`` that also trains over gloo, so that a run on CPUs computes what one on GPUs does.

    Mean and variance are those of all images of all processes, however many each of them has; every process must call
    it equally often. In evaluation, and alone, it is plain batch norm.
    """

    def forward(self, input: Tensor) -> Tensor:
        together = self.training and dist.is_available() and dist.is_initialized()
        if input.is_cuda or not together:
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.dim())]
        wide = [1, -1, *[1] * (x.dim() - 2)]
        count = _total(torch.tensor(x.numel() / x.shape[1]))
        mean = _total(x.sum(axes)) / count
        centred = x - mean.view(wide)
        var = _total(centred.square().sum(axes)) / count  # in a second round: squares minus squared mean would cancel
        self._remember(mean.detach(), var.detach() * count / (count - 1).clamp(min=1))
        y = centred * (var + self.eps).rsqrt().view(wide)
        if self.affine:
            y = y * self.weight.view(wide) + self.bias.view(wide)
        return y.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


class _Sum(torch.autograd.Function):
    """The sum over all processes; each of them has an equal part in everyone's result, and so in its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Sum.apply(grad)


def _total(value: Tensor) -> Any:
    return _Sum.apply(value)
