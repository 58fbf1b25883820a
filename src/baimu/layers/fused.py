"""A convolution for inference that finishes its result while it is still in cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FusedConv2d(nn.Module):
    """A frozen convolution that adds, and applies ReLU, while its result is still in cache.

    On a CPU through oneDNN's post-operations; elsewhere, under autocast (which they ignore), and where this build of
    torch lacks them, the plain operators. Weights stay channels-last: laid out for the kernel beforehand they made it
    choose a slower one (measured).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.settings = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.out_channels = conv.out_channels

    def fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False) -> Tensor:
        """``relu(conv(x) + add)``, both optional."""
        padding, stride, dilation, groups = self.settings
        plain = x.device.type != "cpu" or x.dtype != self.weight.dtype or torch.is_autocast_enabled("cpu")
        if plain or not _has_post_operations():
            out = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            out = out if add is None else out + add
            return F.relu_(out) if relu else out
        act = "relu" if relu else "none"
        if add is None:
            run = torch.ops.mkldnn._convolution_pointwise.default
            return run(x, self.weight, self.bias, padding, stride, dilation, groups, act, [], "")
        run = torch.ops.mkldnn._convolution_pointwise.binary
        act = act if relu else None
        return run(x, add, self.weight, self.bias, padding, stride, dilation, groups, "add", 1.0, act, [], None)

    def forward(self, x: Tensor) -> Tensor:
        return self.fused(x)


def _has_post_operations() -> bool:
    if torch.compiler.is_compiling():  # the compiler fuses for itself
        return False
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
