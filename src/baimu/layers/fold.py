"""An inference copy of a network: batch norm folded into its convolutions, maps channels-last, passes fused."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

import torch
from torch import nn

from baimu.layers.fused import FusedConv2d
from baimu.layers.norm import FrozenBatchNorm2d

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def fold_norms(model: Model) -> Model:
    """A copy in eval mode that computes the same with fewer passes over memory: every batch norm that directly follows
    a convolution (as siblings ``conv``/``norm``, ``convN``/``bnN``, or neighbours in a Sequential) becomes part of it.

    The copy cannot be trained further and its state dict is not the model's.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for parent in model.modules():
        for conv_name, norm_name in _pairs(parent):
            conv, norm = parent.get_submodule(conv_name), parent.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d)
            scale, shift = _affine(norm)
            conv.weight.mul_(scale[:, None, None, None])
            bias = shift if conv.bias is None else shift + conv.bias * scale
            conv.bias = nn.Parameter(bias, requires_grad=False)
            setattr(parent, norm_name, nn.Identity())
    model = model.to(memory_format=torch.channels_last)
    for parent in model.modules():
        for name, conv in parent.named_children():
            if type(conv) is nn.Conv2d and conv.padding_mode == "zeros":
                setattr(parent, name, FusedConv2d(conv))
    return model


def _pairs(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of the children that are a convolution and the batch norm on its output."""
    children = dict(parent.named_children())
    names = list(children)
    candidates = [("conv", "norm"), *((f"conv{i}", f"bn{i}") for i in range(1, 10))]
    if isinstance(parent, nn.Sequential):
        candidates = list(itertools.pairwise(names))
    return [
        (a, b)
        for a, b in candidates
        if isinstance(children.get(a), nn.Conv2d) and isinstance(children.get(b), nn.BatchNorm2d | FrozenBatchNorm2d)
    ]


def _affine(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(norm, FrozenBatchNorm2d):
        return norm.affine()
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale
