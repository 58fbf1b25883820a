"""Normalisation layers as ``norm=`` factories: a callable from a channel count to a module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.layers.cpu_conv import convolve
from baimu.layers.fused import FusedConv2d
from baimu.layers.sync_norm import SyncBatchNorm2d

Norm = Callable[[int], nn.Module]


def with_numbers(norm: Norm, *, eps: float, momentum: float = 0.1) -> Norm:
    """``norm`` with a paper's own ``eps`` (added to the variance) and ``momentum`` (share of a batch in the running
    statistics), wherever its layers have these numbers."""

    def make(channels: int) -> nn.Module:
        layer = norm(channels)
        for name, value in (("eps", eps), ("momentum", momentum)):
            if hasattr(layer, name):
                setattr(layer, name, value)
        return layer

    return make


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics never change, in training neither; ``affine=True`` still learns scale and shift.

    The state dict has the names of ``nn.BatchNorm2d``, so that either loads the other's.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, affine: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=affine)
        self.bias = nn.Parameter(torch.zeros(channels), requires_grad=affine)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,) that the layer amounts to."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.affine()
        return x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)


def batch_norm(channels: int) -> nn.Module:
    """Trainable batch norm: for training from scratch with enough images a device."""
    return nn.BatchNorm2d(channels)


def frozen_batch_norm(channels: int) -> nn.Module:
    """Nothing learned: the detection default on ImageNet weights, whatever the batch size."""
    return FrozenBatchNorm2d(channels)


def affine_batch_norm(channels: int) -> nn.Module:
    """Statistics frozen, scale and shift learned (mmdetection's ``norm_eval``)."""
    return FrozenBatchNorm2d(channels, affine=True)


def sync_batch_norm(channels: int) -> nn.Module:
    """Batch norm over the images of all processes."""
    return SyncBatchNorm2d(channels)


def group_norm(channels: int) -> nn.Module:
    """Group norm of 32 groups (1803.08494): no batch statistics at all."""
    return nn.GroupNorm(32, channels)


class BatchNormByImage(nn.modules.batchnorm._BatchNorm):
    """Batch norm that in evaluation takes each image's own statistics: what batch norm in training mode does to a batch
    of one image, which is how pix2pix is used (1611.07004 §3.3). ``by_image=False`` takes the running ones.

    The state dict is that of ``nn.BatchNorm2d``.
    """

    def __init__(self, channels: int, *, by_image: bool = True) -> None:
        super().__init__(channels)
        self.by_image = by_image

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"a map is (B, C, H, W), not {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if self.training or not self.by_image:
            return super().forward(input)
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


def batch_norm_by_image(channels: int) -> nn.Module:
    """Trainable batch norm that treats images alone in evaluation."""
    return BatchNormByImage(channels)


def instance_norm(channels: int) -> nn.Module:
    """Each channel of each image to mean 0 and variance 1 (1607.08022), without parameters."""
    return nn.InstanceNorm2d(channels)


def conv_norm(
    conv: nn.Module,
    norm: nn.Module,
    x: Tensor,
    *,
    add: Tensor | None = None,
    relu: bool = False,
    act: nn.Module | None = None,
) -> Tensor:
    """``norm(conv(x))``, then ``+ add``, then ReLU or the activation ``act``, where asked for.

    Frozen statistics are folded into the weights first, which saves two passes over the map in training too; a
    convolution that can do all of it in one pass (:class:`FusedConv2d`) is left to it.
    """
    if isinstance(conv, FusedConv2d) and isinstance(norm, nn.Identity):
        return conv.fused(x, add, relu, act)
    if type(conv) is nn.Conv2d and isinstance(norm, FrozenBatchNorm2d):  # a subclass may compute something else
        scale, shift = norm.affine()
        weight = conv.weight * scale[:, None, None, None]
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        x = F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)
    else:
        x = norm(convolve(conv, x))
    if add is not None:
        x = x.add_(add) if x.dtype == add.dtype else x + add  # nothing reads what a norm gave a second time
    return F.relu_(x) if relu else activated(x, act)


_IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU6: partial(F.relu6, inplace=True),
    nn.SiLU: partial(F.silu, inplace=True),
    nn.Hardswish: partial(F.hardswish, inplace=True),
}


def activated(x: Tensor, act: nn.Module | None) -> Tensor:
    """``act(x)``, over ``x`` itself unless the gradient needs what was there: then torch would copy it first."""
    if act is None:
        return x
    if type(act) is nn.ReLU:
        return F.relu_(x)
    if type(act) in _IN_PLACE and not x.requires_grad:
        return _IN_PLACE[type(act)](x)
    return act(x)
