"""Convolution, normalisation, ReLU: the brick of necks and heads."""

from __future__ import annotations

from torch import Tensor, nn

from baimu.layers.norm import Norm, conv_norm


class ConvNorm(nn.Module):
    """Convolution with "same" padding, norm, ReLU; without ``norm`` the convolution has a bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        norm: Norm | None = None,
        bias: bool | None = None,
        relu: bool = True,
    ) -> None:
        super().__init__()
        bias = norm is None if bias is None else bias
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=bias)
        self.norm = nn.Identity() if norm is None else norm(out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm(self.conv, self.norm, x, relu=self.relu)


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
