"""The blocks of "Deep Residual Learning" (1512.03385 Fig. 5) as other papers build with them: no dilation, no plug-ins.

Parameter names are those of every ResNet checkpoint: ``conv1``, ``bn1``, …, ``downsample.0``, ``downsample.1``.
"""

from __future__ import annotations

from torch import Tensor, nn

from baimu.layers.conv import Act
from baimu.layers.fused import FusedConv2d
from baimu.layers.norm import Norm, conv_norm


class ConvNormPair(nn.Sequential):
    """Convolution ("same" padding), norm and perhaps an activation, of which the first two are called ``0`` and ``1``:
    so they are in checkpoints of networks that had them in a Sequential."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        norm: Norm,
        *,
        stride: int = 1,
        act: Act | None = None,
        bias: bool = False,
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=bias)
        super().__init__(conv, norm(out_channels))
        self.act = None if act is None else act()

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """``norm(conv(x))``, then ``+ add``, then the activation, where asked for."""
        conv, norm, *_ = self
        assert isinstance(conv, nn.Conv2d | FusedConv2d)
        return conv_norm(conv, norm, x, add=add, act=self.act)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around the shortcut, which is projected where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, *, stride: int = 1, act: Act = nn.ReLU) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = norm(out_channels)
        self.downsample = _projection(in_channels, out_channels, stride, norm)
        self.act1, self.act2 = act(), act()

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        shortcut = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv2, self.bn2, out, add=shortcut, act=self.act2)


class Bottleneck(nn.Module):
    """1x1 to a quarter of ``out_channels``, 3x3, 1x1 back, around the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, *, act: Act = nn.ReLU) -> None:
        super().__init__()
        inner = out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, 1, 1, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.downsample = _projection(in_channels, out_channels, 1, norm)
        self.act1, self.act2, self.act3 = act(), act(), act()

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        out = conv_norm(self.conv2, self.bn2, out, act=self.act2)
        shortcut = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv3, self.bn3, out, add=shortcut, act=self.act3)


def _projection(in_channels: int, out_channels: int, stride: int, norm: Norm) -> ConvNormPair | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return ConvNormPair(in_channels, out_channels, 1, norm, stride=stride)
