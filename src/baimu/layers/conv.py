"""Convolution, normalisation, activation: the brick of networks, necks and heads."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.layers.norm import Norm, conv_norm

Act = Callable[[], nn.Module]


class ConvNorm(nn.Module):
    """Convolution, norm, ReLU or another activation; without ``norm`` the convolution has a bias.

    ``kernel`` is a side or (height, width); padding is "same" unless given. ``act`` makes the activation.
    ``like_tensorflow`` pads by :func:`same_padded`: a stride of 2 meets other cells where the map's size is even.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        norm: Norm | None = None,
        bias: bool | None = None,
        relu: bool = True,
        act: Act | None = None,
        dilation: int = 1,
        groups: int = 1,
        like_tensorflow: bool = False,
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        around = (dilation * (height // 2), dilation * (width // 2)) if padding is None else padding
        self.same = None
        if like_tensorflow and stride > 1:
            around, self.same = 0, ((dilation * (height - 1) + 1, dilation * (width - 1) + 1), stride)
        bias = norm is None if bias is None else bias
        size = (height, width)
        self.conv = nn.Conv2d(in_channels, out_channels, size, stride, around, dilation, groups, bias=bias)
        self.norm = nn.Identity() if norm is None else norm(out_channels)
        self.relu = relu and act is None
        self.act = None if act is None else act()

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """``act(norm(conv(x)) + add)``."""
        x = x if self.same is None else same_padded(x, *self.same)
        return conv_norm(self.conv, self.norm, x, add=add, relu=self.relu, act=self.act)


def same_padded(x: Float[Tensor, "b c h w"], reach: tuple[int, int], stride: int) -> Float[Tensor, "b c h2 w2"]:
    """TensorFlow's SAME: as few zeros as a window of ``reach`` (height, width, at least the stride) needs to stand
    ceil(size / stride) times; of an odd number the greater half below and right."""
    height, width = (most - 1 - (side - 1) % stride for most, side in zip(reach, x.shape[2:], strict=True))
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


def conv_tower(
    channels: int, depth: int, *, norm: Norm | None = None, bias: bool | None = None, std: float = 0.01
) -> nn.Sequential:
    """``depth`` 3 x 3 convolutions of equal width, weights normal with ``std``: half of a dense head."""
    tower = nn.Sequential(*(ConvNorm(channels, channels, norm=norm, bias=bias) for _ in range(depth)))
    init_normal(tower, std)
    return tower


def init_normal(module: nn.Module, std: float = 0.01, bias: float = 0.0) -> None:
    """Normal weights and constant biases for every convolution and linear layer of ``module``."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)


def init_fan_out(module: nn.Module) -> None:
    """He's initialisation (1502.01852 Eq. 14): the fewer outputs an input feeds, the larger; biases are zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.weight[0, 0].numel() * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=(2 / fan_out) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
