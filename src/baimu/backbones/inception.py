"""Inception v1 and v3: branches of several kernel sizes side by side, behind cheap 1x1 convolutions.

*Going Deeper with Convolutions* (Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich 2014), arXiv
1409.4842: GoogLeNet. A module looks at its map through 1x1, 3x3 and 5x5 convolutions and a pooling at once; 1x1
convolutions first take channels away, so that 22 layers cost less than eight did before. Two auxiliary classifiers on
inner maps bring gradient to the lower half in training, each with 0.3 of its loss.

*Rethinking the Inception Architecture for Computer Vision* (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015), arXiv
1512.00567: Inception v3. Large kernels are factorised (5x5 into two 3x3, 7x7 into 1x7 and 7x1), maps shrink by pooling
and convolution side by side, labels are smoothed, and the auxiliary classifier has batch norm (0.4 of its loss, as most
training code has it).

Dims: B images, C channels, K classes.

| | here | elsewhere |
|---|---|---|
| v1, normalisation | batch norm, eps 0.001 (torchvision) | paper: local response norm in the stem |
| v1, "5x5" branch | 3x3, as torchvision's weights have it, or ``kernel_5x5=5`` | paper: 5x5 |
| v1, auxiliary heads | the mean to 4 x 4 cells of any map (torchvision) | paper: 5x5 / 3, the same for 14 x 14 cells |
| v1, dropout | 0.4 (paper) | torchvision: 0.2 |
| v3, auxiliary head | maps below 17 x 17 cells give their mean to 5 x 5 | torchvision refuses them |
| initial weights | normal: 0.01 (v1), 0.1 (v3); 0.01, 0.001 in its auxiliary head | TensorFlow: cut at two deviations |

Both take images in -1…1; torchvision's ``transform_input`` does that inside the network, here ``Preprocess`` does. The
published top-1 figures are those of torchvision's weights; the paper's GoogLeNet has 89.93 % top-5 on one crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Chain
from baimu.layers.branches import Branches, Convs, conv_chain, split
from baimu.layers.conv import Act, init_normal
from baimu.layers.norm import Norm, batch_norm, with_numbers
from baimu.preprocess import signed
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

PAPER_V1 = imagenet_90.replace(
    epochs=80, lr=0.01, milestones=tuple(i / 10 for i in range(1, 10)), drop=0.96, weight_decay=2e-4, ema_decay=0.9999
)
"""SGD, 4 % off the rate every 8 epochs, the mean of the weights over time (§6); the rate itself is Caffe's."""
PAPER_V3 = imagenet_90.replace(
    epochs=100,
    optimizer="rmsprop_tf",
    lr=0.045,
    momentum=0.9,
    square_momentum=0.9,
    optimizer_eps=1.0,
    weight_decay=4e-5,
    milestones=tuple(i / 50 for i in range(1, 50)),
    drop=0.94,
    clip_norm=2.0,
    label_smoothing=0.1,
    ema_decay=0.9999,
    size=299,
)
"""RMSProp, 6 % off the rate every 2 epochs, gradients of norm 2 at most, smoothed labels, the mean of the weights over
time (§7, §8)."""


class GoogLeNet(Chain):
    """The 22 layers of 1409.4842 Table 1: maps of 64, 192, 480, 832, 1024 channels at strides 2…32.

    ``out``, ``frozen_stages`` and ``checkpointing`` as of :class:`~baimu.backbones.stages.Stages`; ``norm`` and ``act``
    follow every convolution; ``kernel_5x5`` is 3 (see above) or 5. ``small_images``: the stem for images of about 32
    pixels, a 3x3 convolution of stride 1 without pooling, so that all strides are a quarter.
    """

    dropout = 0.4
    auxiliary_weight = 0.3

    def __init__(
        self,
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        act: Act | None = None,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        kernel_5x5: int = 3,
        small_images: bool = False,
    ) -> None:
        if kernel_5x5 not in (3, 5):
            raise ValueError(f"kernel_5x5 must be 3 (torchvision's weights) or 5 (the paper), got {kernel_5x5}")
        super().__init__(
            _levels((64, 192, 480, 832, 1024), small_images),
            out=out,
            frozen_stages=frozen_stages,
            checkpointing=checkpointing,
        )
        self.chain = partial(conv_chain, norm=with_numbers(norm, eps=1e-3, momentum=0.1), act=act)
        self.add_levels(self._plan(kernel_5x5, small_images), taps={"aux1": "inception4a", "aux2": "inception4d"})
        init_normal(self, 0.01)
        self.freeze()

    def _plan(self, kernel: int, small_images: bool) -> Iterator[Mapping[str, nn.Module]]:
        chain = self.chain
        halve = partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
        mixed = partial(_mixed_v1, chain, kernel)
        yield {"conv1": chain(3, (64, 3) if small_images else (64, 7, 2, 3))}
        yield {
            "maxpool1": nn.Identity() if small_images else halve(),
            "conv2": chain(64, (64, 1)),
            "conv3": chain(64, (192, 3)),
        }
        yield {
            "maxpool2": halve(),
            "inception3a": mixed(192, 64, (96, 128), (16, 32), 32),
            "inception3b": mixed(256, 128, (128, 192), (32, 96), 64),
        }
        yield {
            "maxpool3": halve(),
            "inception4a": mixed(480, 192, (96, 208), (16, 48), 64),
            "inception4b": mixed(512, 160, (112, 224), (24, 64), 64),
            "inception4c": mixed(512, 128, (128, 256), (24, 64), 64),
            "inception4d": mixed(512, 112, (144, 288), (32, 64), 64),
            "inception4e": mixed(528, 256, (160, 320), (32, 128), 128),
        }
        yield {
            "maxpool4": nn.MaxPool2d(2, 2, ceil_mode=True),
            "inception5a": mixed(832, 256, (160, 320), (32, 128), 128),
            "inception5b": mixed(832, 384, (192, 384), (48, 128), 128),
        }

    def auxiliary_heads(self, num_classes: int) -> nn.ModuleDict:
        heads = {"aux1": 512, "aux2": 528} if 4 in self.levels else {}
        return nn.ModuleDict({name: AuxiliaryV1(self.chain, c, num_classes) for name, c in heads.items()})


def _mixed_v1(
    chain: Convs,
    kernel: int,
    in_channels: int,
    single: int,
    three: tuple[int, int],
    five: tuple[int, int],
    pooled: int,
) -> Branches:
    """Fig. 2b: 1x1; 1x1 and 3x3; 1x1 and 5x5; pooling and 1x1. Numbers as in Table 1, pairs are (reduce, kernel)."""
    return Branches(
        branch1=chain(in_channels, (single, 1)),
        branch2=chain(in_channels, (three[0], 1), (three[1], 3)),
        branch3=chain(in_channels, (five[0], 1), (five[1], kernel)),
        branch4=nn.Sequential(nn.MaxPool2d(3, 1, 1), chain(in_channels, (pooled, 1))),
    )


class AuxiliaryV1(nn.Module):
    """§5: the mean of 4 x 4 cells, a 1x1 convolution of 128, a hidden layer of 1024, dropout 0.7: (B, C, H, W) → logits
    (B, K)."""

    def __init__(self, chain: Convs, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.dropout = 0.7
        self.conv = chain(in_channels, (128, 1))
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        init_normal(self, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), self.dropout, self.training))


class InceptionV3(Chain):
    """1512.00567 Table 1 as released: maps of 64, 192, 288, 768, 2048 channels at strides 2…32, of images from 75
    pixels on; without padding in stem and reductions they have some cells less than the stride says.

    Arguments as of :class:`GoogLeNet`. ``small_images``: the stem pads, and its first convolution and pooling do not
    shrink the map.
    """

    dropout = 0.5
    auxiliary_weight = 0.4

    def __init__(
        self,
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        act: Act | None = None,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        small_images: bool = False,
    ) -> None:
        super().__init__(
            _levels((64, 192, 288, 768, 2048), small_images),
            out=out,
            frozen_stages=frozen_stages,
            checkpointing=checkpointing,
        )
        self.chain = partial(conv_chain, norm=with_numbers(norm, eps=1e-3, momentum=0.1), act=act)
        self.add_levels(self._plan(small_images), taps={"aux1": "mixed_6e"})
        init_normal(self, 0.1)
        self.freeze()

    def _plan(self, small_images: bool) -> Iterator[Mapping[str, nn.Module]]:
        chain = self.chain
        stride, padding = (1, 1) if small_images else (2, 0)
        yield {
            "conv2d_1a_3x3": chain(3, (32, 3, stride, padding)),
            "conv2d_2a_3x3": chain(32, (32, 3, 1, padding)),
            "conv2d_2b_3x3": chain(32, (64, 3)),
        }
        yield {
            "maxpool1": nn.Identity() if small_images else nn.MaxPool2d(3, 2),
            "conv2d_3b_1x1": chain(64, (80, 1)),
            "conv2d_4a_3x3": chain(80, (192, 3, 1, padding)),
        }
        yield {
            "maxpool2": nn.MaxPool2d(3, 2),
            "mixed_5b": _mixed_a(chain, 192, 32),
            "mixed_5c": _mixed_a(chain, 256, 64),
            "mixed_5d": _mixed_a(chain, 288, 64),
        }
        yield {
            "mixed_6a": _reduction_b(chain, 288),
            "mixed_6b": _mixed_c(chain, 768, 128),
            "mixed_6c": _mixed_c(chain, 768, 160),
            "mixed_6d": _mixed_c(chain, 768, 160),
            "mixed_6e": _mixed_c(chain, 768, 192),
        }
        yield {
            "mixed_7a": _reduction_d(chain, 768),
            "mixed_7b": _mixed_e(chain, 1280),
            "mixed_7c": _mixed_e(chain, 2048),
        }

    def auxiliary_heads(self, num_classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"aux1": AuxiliaryV3(self.chain, 768, num_classes)} if 4 in self.levels else {})


def _mixed_a(chain: Convs, in_channels: int, pooled: int) -> Branches:
    """Fig. 5, at stride 8: 5x5 kernels, of which one is two 3x3."""
    return Branches(
        branch1x1=chain(in_channels, (64, 1)),
        branch5x5=chain(in_channels, (48, 1), (64, 5)),
        branch3x3dbl=chain(in_channels, (64, 1), (96, 3), (96, 3)),
        branch_pool=nn.Sequential(nn.AvgPool2d(3, 1, 1), chain(in_channels, (pooled, 1))),
    )


def _reduction_b(chain: Convs, in_channels: int) -> Branches:
    """Fig. 10, from stride 8 to 16: convolutions and pooling side by side, so that neither is a bottleneck."""
    return Branches(
        branch3x3=chain(in_channels, (384, 3, 2, 0)),
        branch3x3dbl=chain(in_channels, (64, 1), (96, 3), (96, 3, 2, 0)),
        branch_pool=nn.MaxPool2d(3, 2),
    )


def _mixed_c(chain: Convs, in_channels: int, width: int) -> Branches:
    """Fig. 6 with n = 7, at stride 16: 7x7 kernels as 1x7 and 7x1."""
    return Branches(
        branch1x1=chain(in_channels, (192, 1)),
        branch7x7=chain(in_channels, (width, 1), (width, (1, 7)), (192, (7, 1))),
        branch7x7dbl=chain(in_channels, (width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))),
        branch_pool=nn.Sequential(nn.AvgPool2d(3, 1, 1), chain(in_channels, (192, 1))),
    )


def _reduction_d(chain: Convs, in_channels: int) -> Branches:
    """From stride 16 to 32."""
    return Branches(
        branch3x3=chain(in_channels, (192, 1), (320, 3, 2, 0)),
        branch7x7x3=chain(in_channels, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)),
        branch_pool=nn.MaxPool2d(3, 2),
    )


def _mixed_e(chain: Convs, in_channels: int) -> Branches:
    """Fig. 7, at stride 32: many channels for few cells."""
    return Branches(
        branch1x1=chain(in_channels, (320, 1)),
        branch3x3=nn.Sequential(chain(in_channels, (384, 1)), split(chain, 384, 384)),
        branch3x3dbl=nn.Sequential(chain(in_channels, (448, 1)), chain(448, (384, 3)), split(chain, 384, 384)),
        branch_pool=nn.Sequential(nn.AvgPool2d(3, 1, 1), chain(in_channels, (192, 1))),
    )


class AuxiliaryV3(nn.Module):
    """Fig. 8: a mean to 5 x 5 cells, convolutions of 1x1 and 5x5, the mean of what they leave: (B, C, H, W) → logits
    (B, K)."""

    def __init__(self, chain: Convs, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = chain(in_channels, (128, 1))
        self.conv1 = chain(128, (768, 5, 1, 0))
        self.fc = nn.Linear(768, num_classes)
        for part, std in ((self.conv0, 0.1), (self.conv1, 0.01), (self.fc, 0.001)):
            init_normal(part, std)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 5, 3) if min(x.shape[2:]) >= 17 else F.adaptive_avg_pool2d(x, 5)
        return self.fc(self.conv1(self.conv0(x)).mean((2, 3)))


def _levels(channels: Sequence[int], small_images: bool) -> dict[int, tuple[int, int]]:
    """Levels 1… of strides 2…, or a quarter of that for small images."""
    scale = 4 if small_images else 1
    return {level: (count, max(1, 2**level // scale)) for level, count in enumerate(channels, start=1)}


@backbone(paper="1409.4842", recipe=PAPER_V1, preprocess=signed, reported={"top1": 69.78})
def googlenet(**options) -> GoogLeNet:
    """GoogLeNet (Inception v1): 5.6 M parameters without a classifier."""
    return GoogLeNet(**options)


@backbone(paper="1512.00567", recipe=PAPER_V3, preprocess=signed, reported={"top1": 77.29})
def inception_v3(**options) -> InceptionV3:
    """Inception v3: 21.8 M parameters without a classifier."""
    return InceptionV3(**options)
