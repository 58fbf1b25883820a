"""Improved residual networks for faces (Deng, Guo, Xue, Zafeiriou 2018), arXiv 1801.07698 §3.1.

ArcFace's backbone: ResNet's two-convolution block with a norm before the first convolution and none of the ReLU after
the addition, PReLU in its place inside, and a stem that keeps the resolution, because an aligned face has 112 pixels
and not 224 (§3.1: "improved residual unit", BN-Conv-BN-PReLU-Conv-BN). Dims: B images, C channels.

Differences:

=========================  ===============  ==================================  ===========================
what                       paper            insightface's arcface_torch         here
=========================  ===============  ==================================  ===========================
initial convolutions       Xavier (MXNet)   normal of deviation 0.1             He's, by what comes out
norms of a block           three            bn1 (first), bn2, bn3               bn0, bn1, bn2: of a convolution
                                                                                each, after the one before it
what follows the maps      options A to E   part of the network                 :mod:`baimu.embedding.arcface`
=========================  ===============  ==================================  ===========================

A norm follows each convolution, so that the scale of initial weights changes the first steps only. The blocks of 18,
34, 100 and 200 layers are insightface's; the paper names 50 and 100.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from baimu.backbones.resnet import Shortcut
from baimu.backbones.stages import Stages
from baimu.layers.conv import init_fan_out
from baimu.layers.norm import Norm, batch_norm, conv_norm


class ImprovedBlock(nn.Module):
    """Norm, 3x3, norm, PReLU, 3x3 (which halves the map), norm around the shortcut; nothing after the addition."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.bn0 = norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = norm(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = norm(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = Shortcut(in_channels, channels, 1, stride, norm, avg_down=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        branch = conv_norm(self.conv1, self.bn1, self.bn0(x), act=self.prelu)
        return conv_norm(self.conv2, self.bn2, branch, add=shortcut)


class IResNet(Stages):
    """Maps C1 (the stem's, at full resolution) to C5 of strides 1…16; ``out``, ``frozen_stages`` and ``checkpointing``
    as of :class:`~baimu.backbones.stages.Stages`."""

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        *,
        out: Sequence[int] = (5,),
        norm: Norm = batch_norm,
        frozen_stages: int = 0,
        checkpointing: bool = False,
    ) -> None:
        levels = {1: (64, 1)} | {level: (64 * 2 ** (level - 2), 2 ** (level - 1)) for level in range(2, 6)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = norm(64)
        self.prelu = nn.PReLU(64)
        before = 64
        for level, depth in zip(self.levels[1:], depths, strict=False):
            channels = levels[level][0]
            blocks = [ImprovedBlock(before if i == 0 else channels, channels, 2 - (i > 0), norm) for i in range(depth)]
            self.add_module(f"layer{level - 1}", nn.Sequential(*blocks))
            before = channels
        init_fan_out(self)
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        return [self.conv1, self.bn1, self.prelu] if level == 1 else [self.get_submodule(f"layer{level - 1}")]

    def stage(self, level: int, x: Tensor) -> Tensor:
        if level == 1:
            return conv_norm(self.conv1, self.bn1, x, act=self.prelu)
        return self.get_submodule(f"layer{level - 1}")(x)


def iresnet18(**options) -> IResNet:
    """IResNet-18: 11.2 M parameters; with ArcFace's neck 24.0 M."""
    return IResNet((2, 2, 2, 2), **options)


def iresnet34(**options) -> IResNet:
    """IResNet-34: 21.3 M parameters; with ArcFace's neck 34.1 M."""
    return IResNet((3, 4, 6, 3), **options)


def iresnet50(**options) -> IResNet:
    """IResNet-50: 30.7 M parameters; with ArcFace's neck 43.6 M."""
    return IResNet((3, 4, 14, 3), **options)


def iresnet100(**options) -> IResNet:
    """IResNet-100: 52.3 M parameters; with ArcFace's neck 65.2 M."""
    return IResNet((3, 13, 30, 3), **options)


def iresnet200(**options) -> IResNet:
    """IResNet-200: 106.0 M parameters; with ArcFace's neck 118.8 M."""
    return IResNet((6, 26, 60, 6), **options)
