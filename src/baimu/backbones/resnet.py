"""Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun 2015), arXiv 1512.03385.

Blocks learn a change of their input instead of a new map, so that depth helps instead of hurting; every later
detector of this library stands on these features. Dims: B images, C channels.

Differences from the paper: ``stride_in_3x3=True`` (the default, torchvision's and "pytorch" style) halves the map in
a bottleneck's 3x3 convolution; the paper and Caffe-derived weights do it in the first 1x1 (``False``, "caffe" style).

Two later papers change the bottleneck's 3x3 alone, so that they are two numbers here: *ResNeXt* (Xie, Girshick, Dollar,
Tu, He 2016, 1611.05431) cuts it into ``groups`` paths of ``base_width`` channels each in the first stage (32x4d: 32
paths of 4, together twice the channels of ResNet's); *Wide ResNets* (Zagoruyko, Komodakis 2016, 1605.07146) doubles its
channels (``base_width=128``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.layers.fused import FusedConv2d
from baimu.layers.norm import Norm, batch_norm, conv_norm


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around the shortcut (Fig. 5 left)."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        *,
        stride_in_3x3: bool = True,
        dilation: int = 1,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        del stride_in_3x3  # a basic block has only one place for it
        if (groups, base_width) != (1, 64):
            raise ValueError(f"only bottlenecks have groups and a base width, got {groups} and {base_width}")
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = norm(width)
        self.downsample = _shortcut(in_channels, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, relu=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv2, self.bn2, out, add=shortcut, relu=True)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up around the shortcut (Fig. 5 right; with groups, 1611.05431 Fig. 3c)."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        *,
        stride_in_3x3: bool = True,
        dilation: int = 1,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        first, second = (1, stride) if stride_in_3x3 else (stride, 1)
        inner = width * base_width // 64 * groups
        self.conv1 = nn.Conv2d(in_channels, inner, 1, first, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, dilation, dilation, groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, relu=True)
        out = conv_norm(self.conv2, self.bn2, out, relu=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return conv_norm(self.conv3, self.bn3, out, add=shortcut, relu=True)


class _Projection(nn.Sequential):
    """1x1 convolution and norm, under the names ``0`` and ``1`` that every ResNet checkpoint gives them."""

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self
        assert isinstance(conv, nn.Conv2d | FusedConv2d)
        return conv_norm(conv, norm, x)


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: Norm) -> _Projection | None:
    """Projection only where the shape changes (option B of §4.1)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return _Projection(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm(out_channels))


class ResNet(nn.Module):
    """Maps C2…C5 of strides 4…32; ``out`` chooses which are returned, fine to coarse.

    ``frozen_stages=n`` freezes C1 (the stem) to Cn: no gradient, and norms that keep their statistics in training;
    0 freezes nothing. ``norm`` makes every normalisation layer. ``output_stride`` 16 or 8 keeps the map from there on
    and spreads the later 3x3 convolutions instead, from each stage's second block on (torchvision's rule). A
    bottleneck's 3x3 has ``groups`` paths of ``base_width`` channels for each 64 of its stage.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        frozen_stages: int = 0,
        stride_in_3x3: bool = True,
        output_stride: int = 32,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        if not out or sorted(set(out)) != list(out) or not set(out) <= {2, 3, 4, 5}:
            raise ValueError(f"out must name levels of (2, 3, 4, 5) in rising order, got {tuple(out)}")
        if frozen_stages not in range(6):
            raise ValueError(f"frozen_stages must be 0 (nothing) to 5 (everything), got {frozen_stages}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        self.out = tuple(out)
        self.frozen_stages = frozen_stages
        self.stride_in_3x3 = stride_in_3x3 if block is Bottleneck else None
        self.channels = tuple(64 * 2 ** (level - 2) * block.expansion for level in out)
        self.strides = tuple(min(2**level, output_stride) for level in out)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        options = {"stride_in_3x3": stride_in_3x3, "groups": groups, "base_width": base_width}
        channels, dilation = 64, 1
        for stage, depth in enumerate(depths[: max(out) - 1], start=1):
            width, stride = 64 * 2 ** (stage - 1), 1 if stage == 1 else 2
            first = dilation
            if 2 ** (stage + 1) > output_stride:
                stride, dilation = 1, 2 * dilation
            blocks = []
            for i in range(depth):
                step, spread = (1, dilation) if i else (stride, first)
                blocks.append(block(channels, width, step, norm, dilation=spread, **options))
                channels = width * block.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        stages = [getattr(self, f"layer{level - 1}", None) for level in range(2, self.frozen_stages + 1)]
        stem = [self.conv1, self.bn1] if self.frozen_stages else []
        return stem + [stage for stage in stages if stage is not None]

    def train(self, mode: bool = True) -> ResNet:
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → the maps of ``out``."""
        x = conv_norm(self.conv1, self.bn1, images, relu=True)
        x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for level in range(2, max(self.out) + 1):
            x = self.get_submodule(f"layer{level - 1}")(x)
            if level in self.out:
                maps.append(x)
        return maps


def resnet18(**options) -> ResNet:
    """ResNet-18: 11.2 M parameters without a classifier."""
    return ResNet(BasicBlock, (2, 2, 2, 2), **options)


def resnet34(**options) -> ResNet:
    """ResNet-34: 21.3 M parameters without a classifier."""
    return ResNet(BasicBlock, (3, 4, 6, 3), **options)


def resnet50(**options) -> ResNet:
    """ResNet-50: 23.5 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 4, 6, 3), **options)


def resnet101(**options) -> ResNet:
    """ResNet-101: 42.5 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 4, 23, 3), **options)


def resnet152(**options) -> ResNet:
    """ResNet-152: 58.1 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 8, 36, 3), **options)


def resnext50_32x4d(**options) -> ResNet:
    """ResNeXt-50 of 32 paths of 4 channels: 23.0 M parameters without a classifier."""
    return resnet50(groups=32, base_width=4, **options)


def resnext101_32x4d(**options) -> ResNet:
    """ResNeXt-101 of 32 paths of 4 channels: 42.1 M parameters without a classifier."""
    return resnet101(groups=32, base_width=4, **options)


def resnext101_32x8d(**options) -> ResNet:
    """ResNeXt-101 of 32 paths of 8 channels: 86.7 M parameters without a classifier."""
    return resnet101(groups=32, base_width=8, **options)


def resnext101_64x4d(**options) -> ResNet:
    """ResNeXt-101 of 64 paths of 4 channels: 81.4 M parameters without a classifier."""
    return resnet101(groups=64, base_width=4, **options)


def wide_resnet50_2(**options) -> ResNet:
    """ResNet-50 with twice the channels in the 3x3 convolutions: 66.8 M parameters without a classifier."""
    return resnet50(base_width=128, **options)


def wide_resnet101_2(**options) -> ResNet:
    """ResNet-101 with twice the channels in the 3x3 convolutions: 124.8 M parameters without a classifier."""
    return resnet101(base_width=128, **options)
