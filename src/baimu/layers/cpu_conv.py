"""Convolutions that learn in bfloat16 on a CPU, without the gradients at which oneDNN (3.x, with AMX) is slow.

=====================================  ===============================================================================
depthwise                              in float32: the gradients in bfloat16 take up to thirty times as long
dense, of which the map is small       the weights' gradient as one product of matrices: up to sixteen times as fast
=====================================  ===============================================================================

Everywhere else, on other devices, without autocast and without gradients, a convolution is torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SMALL_MAP = 49
"""Cells of the output up to which a product of matrices is faster, 7 x 7: ImageNet's last."""
MOST_NUMBERS = 12_000_000
"""Of its right side, the input's patches; more leave the cache, and the product takes longer than oneDNN."""


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """``conv(x)``."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        return conv(x)
    if type(conv) is not nn.Conv2d or torch.compiler.is_compiling():
        return conv(x)
    if conv.groups == conv.in_channels > 1:
        with torch.autocast("cpu", enabled=False):
            return conv(x.float())
    if _is_small(conv, x):
        dtype = torch.get_autocast_dtype("cpu")
        y = SmallConv.apply(x.to(dtype), conv.weight.to(dtype), conv.stride, conv.padding, conv.dilation)
        return y if conv.bias is None else y + conv.bias.to(dtype)[:, None, None]
    return conv(x)


def _is_small(conv: nn.Conv2d, x: Tensor) -> bool:
    if conv.groups > 1 or conv.padding_mode != "zeros" or isinstance(conv.padding, str) or x.dim() != 4:
        return False
    height, width = (-(-side // stride) for side, stride in zip(x.shape[2:], conv.stride, strict=True))
    cells = height * width  # about: without the border that a padding of less than "same" takes away
    return cells <= SMALL_MAP and len(x) * cells * conv.weight[0].numel() <= MOST_NUMBERS


class SmallConv(torch.autograd.Function):
    """A convolution whose weights learn by :func:`weight_gradient`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.numbers = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            wanted = (True, False, False)
            numbers = (*ctx.numbers, False, (0, 0), 1)
            of_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, *numbers, wanted)[0]
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, weight.shape[2:], *ctx.numbers)
        return of_x, of_weight, None, None, None


def weight_gradient(
    x: Float[Tensor, "b c h w"],
    gradient: Float[Tensor, "b o i j"],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Float[Tensor, "o c kh kw"]:
    """Of the weights of a convolution of ``x``, from its output's: each output cell's gradient times its patch."""
    (b, c), (o, rows, columns) = x.shape[:2], gradient.shape[1:]
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1).contiguous()
    image, row, column, channel = padded.stride()
    steps = (image, row * stride[0], column * stride[1], row * dilation[0], column * dilation[1], channel)
    patches = padded.as_strided((b, rows, columns, *kernel, c), steps).reshape(b * rows * columns, -1)
    product = gradient.permute(0, 2, 3, 1).reshape(b * rows * columns, o).t() @ patches
    return product.view(o, *kernel, c).permute(0, 3, 1, 2)
