"""An inference copy of a network: batch norm folded into its convolutions, maps channels-last, passes fused, and where
asked for in 16 bits or compiled."""

from __future__ import annotations

import contextlib
import copy
import itertools
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from baimu.layers.attention import Attention
from baimu.layers.fused import Fused, FusedConv2d, FusedLinear, Kernel
from baimu.layers.norm import FrozenBatchNorm2d
from baimu.layers.winograd import WinogradConv2d, suits

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def fold_norms(
    model: Model,
    *,
    fused: bool = True,
    linears: Kernel | None = "onednn",
    pack: bool = True,
    winograd: bool = False,
) -> Model:
    """A copy in eval mode that computes the same with fewer passes over memory: every batch norm that directly follows
    a convolution (siblings ``conv``/``norm``, ``convN``/``bnN`` and the like, neighbours in a Sequential) becomes part
    of it. Linear layers go through oneDNN, or MKL with packed weights, or (None) stay as they are; with ``pack``
    convolutions too keep a second copy of their weights, laid out for the kernel. ``winograd``: wide 3x3 convolutions
    with a third of the multiplications, a digit less exact.

    The copy cannot be trained further and its state dict is not the model's. ``fused=False`` leaves its layers torch's
    own, for whatever makes a graph of it.
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
            parent.set_submodule(norm_name, nn.Identity())
    if not fused:
        return model
    model = model.to(memory_format=torch.channels_last)
    for parent in model.modules():
        for name, conv in parent.named_children():
            if type(conv) is nn.Conv2d and conv.padding_mode == "zeros":
                kind = WinogradConv2d if winograd and suits(conv) else FusedConv2d
                setattr(parent, name, kind(conv, pack=pack))
    return model if linears is None else _fuse_linears(model, linears)


def optimize(
    model: Model,
    *,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    compile: bool | str = False,
    **options: Any,
) -> Model:
    """:func:`fold_norms` (``options`` are its), whose convolutions and linear layers work in ``precision`` with weights
    stored in it.

    With ``compile`` its ``forward`` is compiled: by inductor with the weights as constants (``True``; the first call
    takes a minute, and each new input shape may take another), or by the backend of that name. Nothing has a gradient.
    """
    fast = fold_norms(model, **options)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    for layer in fast.modules():
        if isinstance(layer, Fused | nn.Conv2d | nn.Linear):
            layer.to(dtype)
    if precision == "fp32" and not compile:
        return fast
    backend = compile if isinstance(compile, str) else "inductor"
    run = torch.compile(fast.forward, backend=backend) if compile else fast.forward

    def forward(images: torch.Tensor, *others: Any) -> Any:
        half = torch.autocast(images.device.type, dtype, enabled=precision != "fp32")
        with torch.no_grad(), half, _freezing() if compile is True else contextlib.nullcontext():
            return run(images, *others)

    fast.forward = forward
    return fast


def _fuse_linears(model: Model, kernel: Kernel) -> Model:
    for parent in list(model.modules()):
        if isinstance(parent, Attention):
            parent.fuse(kernel)
        for name, linear in parent.named_children():
            if type(linear) is nn.Linear:
                setattr(parent, name, FusedLinear(linear, kernel=kernel))
    return model


def _freezing() -> contextlib.AbstractContextManager[Any]:
    """Weights are constants to inductor, laid out for each convolution: it reads this when it compiles."""
    import torch._inductor.config as inductor

    return inductor.patch(freezing=True)


def _pairs(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of the parts that are a convolution and the batch norm on its output. (A subclass of ``nn.Conv2d`` may do
    something else with its weight than to convolve.)"""
    parts = {name: part for name, part in parent.named_modules() if name.count(".") < 2}
    candidates = [
        ("conv", "norm"),
        ("conv", "bn0"),
        *((f"{kind}{i}", f"bn{i}") for kind in ("conv", "fc") for i in range(1, 10)),
    ]
    candidates += [(name, name.replace("convs.", "bns.")) for name in parts if name.startswith("convs.")]
    if isinstance(parent, nn.Sequential):
        candidates = list(itertools.pairwise(name for name, _ in parent.named_children()))
    return [
        (a, b)
        for a, b in candidates
        if type(parts.get(a)) is nn.Conv2d and isinstance(parts.get(b), nn.BatchNorm2d | FrozenBatchNorm2d)
    ]


def _affine(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(norm, FrozenBatchNorm2d):
        return norm.affine()
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale
