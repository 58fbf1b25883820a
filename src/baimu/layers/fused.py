"""A convolution for inference that finishes its result while it is still in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RELU = nn.ReLU(inplace=True)
POST_OPERATIONS: dict[type[nn.Module], Callable[[Any], tuple[str, list[float], str]]] = {
    nn.ReLU: lambda act: ("relu", [], ""),
    nn.ReLU6: lambda act: ("hardtanh", [0.0, 6.0], ""),
    nn.Hardtanh: lambda act: ("hardtanh", [act.min_val, act.max_val], ""),
    nn.LeakyReLU: lambda act: ("leaky_relu", [act.negative_slope], ""),
    nn.SiLU: lambda act: ("swish", [], ""),
    nn.Hardswish: lambda act: ("hardswish", [], ""),
    nn.Sigmoid: lambda act: ("sigmoid", [], ""),
    nn.Hardsigmoid: lambda act: ("hardsigmoid", [], ""),
    nn.Tanh: lambda act: ("tanh", [], ""),
    nn.GELU: lambda act: ("gelu", [], act.approximate),
}
"""oneDNN's name, numbers and algorithm of the activations it has; others follow the convolution as they are."""


class FusedConv2d(nn.Module):
    """A frozen convolution that adds, and applies an activation, while its result is still in cache.

    On a CPU through oneDNN's post-operations; elsewhere, for float32 under autocast (which they ignore), and where this
    build of torch lacks them, the plain operators. Weights stay channels-last: laid out for the kernel beforehand they
    made it choose a slower one (measured).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.settings = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.out_channels = conv.out_channels

    def fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False, act: nn.Module | None = None) -> Tensor:
        """``conv(x)``, then ``+ add``, then ReLU or the activation ``act``, where asked for."""
        act = RELU if relu else act
        padding, stride, dilation, groups = self.settings
        plain = x.device.type != "cpu" or x.dtype != self.weight.dtype
        plain |= torch.is_autocast_enabled("cpu") and x.dtype == torch.float32
        if plain or not _has_post_operations():
            out = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            out = out if add is None else out + add
            return out if act is None else act(out)
        if add is None:
            named = None if act is None else POST_OPERATIONS.get(type(act))
            after = named(act) if named else ("none", [], "")
            run = torch.ops.mkldnn._convolution_pointwise.default
            out = run(x, self.weight, self.bias, padding, stride, dilation, groups, *after)
        else:
            named = type(act) is nn.ReLU  # the only one that it computes after a sum
            after = ("add", 1.0, "relu" if named else None, [], None)
            run = torch.ops.mkldnn._convolution_pointwise.binary
            out = run(x, add, self.weight, self.bias, padding, stride, dilation, groups, *after)
        return out if named or act is None else act(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fused(x)


def _has_post_operations() -> bool:
    if torch.compiler.is_compiling():  # the compiler fuses for itself
        return False
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
