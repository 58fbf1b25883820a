"""Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan, Zisserman 2014), arXiv 1409.1556.

Nothing but 3x3 convolutions, one to four between poolings: two of them see what a 5x5 kernel sees, with fewer weights
and one more nonlinearity. Dims: B images, C channels, K classes.

The map of level n is the last one of stride 2^n, after its ReLU and before the next pooling: 64, 128, 256, 512, 512
channels at levels 0…4; level 5 is what the last pooling leaves, which the classifier reads.

| | here | elsewhere |
|---|---|---|
| ``norm`` | none; the ``_bn`` names have batch norm, behind a bias all the same (torchvision) | paper: none |
| other images than of 224 pixels | the classifier reads the mean of 7 x 7 areas (torchvision) | timm: it slides |

``vgg16_ssd`` is the base of SSD (Liu et al. 2015, 1512.02325 §3.1): the third pooling rounds up, the fifth keeps the
map, and the first two fully connected layers become convolutions, the first dilated (DeepLab's idea, 1412.7062); its
levels 3 and 4 are conv4_3 and fc7. :func:`convolved` makes their weights of VGG-16's.

Published top-1: of torchvision's weights, in percent; the paper's VGG-16, one crop of one scale: 74.4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.stages import Chain
from baimu.layers.conv import Act, ConvNorm, init_fan_out, init_normal
from baimu.layers.norm import Norm, batch_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

PAPER = imagenet_90.replace(
    epochs=74,
    lr=0.01,
    milestones=(0.5, 0.7, 0.9),
    weight_decay=5e-4,
    crop_area=(0.19, 0.77),
    crop_ratio=(1.0, 1.0),
)
"""SGD 0.01, three drops where validation stops improving (here at fixed shares), squares of 224 from shorter sides of
256 to 512 (§3.1)."""

WIDTHS = (64, 128, 256, 512, 512)
D11, D13, D16, D19 = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
"""Convolutions of a block (Table 1: A, B, D, E)."""


class VGG(Chain):
    """Blocks conv1…conv5 of ``depths`` convolutions, with a pooling after each.

    ``out``, ``frozen_stages`` and ``checkpointing`` as of :class:`~baimu.backbones.stages.Stages`; ``norm`` and ``act``
    follow every convolution; ``hidden`` is the width of the classifier's two hidden layers, 4096 unless given.
    ``small_images``, of about 32 pixels: without the first and the last pooling, so that 28 pixels leave 3 cells at
    level 5; ``hidden`` is 512 then, on the mean of the whole map.
    """

    dropout = 0.5

    def __init__(
        self,
        depths: Sequence[int],
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm | None = None,
        act: Act | None = None,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        hidden: int | None = None,
        small_images: bool = False,
    ) -> None:
        strides = (1, 1, 2, 4, 8, 8) if small_images else (1, 2, 4, 8, 16, 32)
        levels = dict(enumerate(zip((*WIDTHS, WIDTHS[-1]), strides, strict=True)))
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        pools = [nn.Identity() if small_images and i in (1, 5) else nn.MaxPool2d(2) for i in range(1, 6)]
        self.add_levels(itertools.chain(_blocks(depths, pools, norm, act), [{"pool5": pools[4]}]))
        self.cells, self.hidden = (1, hidden or 512) if small_images else (7, hidden or 4096)
        init_fan_out(self)
        self.freeze()

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        return VGGHead(self.channels[-1], self.cells, self.hidden, num_classes, dropout)


class VGG16SSD(Chain):
    """SSD's base: 512 channels of conv4_3 at stride 8 (level 3), 1024 of fc7 at stride 16 (level 4). Arguments as of
    :class:`VGG`."""

    def __init__(
        self,
        *,
        out: Sequence[int] = (3, 4),
        norm: Norm | None = None,
        act: Act | None = None,
        frozen_stages: int = 0,
        checkpointing: bool = False,
    ) -> None:
        levels = {0: (64, 1), 1: (128, 2), 2: (256, 4), 3: (512, 8), 4: (1024, 16)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        pools = [nn.MaxPool2d(2, ceil_mode=i == 3) for i in range(1, 5)]
        *blocks, last = _blocks(D16, pools, norm, act)
        dense = {
            "pool5": nn.MaxPool2d(3, 1, 1),
            "fc6": ConvNorm(512, 1024, 3, dilation=6, act=act),
            "fc7": ConvNorm(1024, 1024, 1, act=act),
        }
        self.add_levels([*blocks, {**last, **dense}])
        init_fan_out(self)
        self.freeze()


def _blocks(
    depths: Sequence[int], pools: Sequence[nn.Module], norm: Norm | None, act: Act | None
) -> Iterator[dict[str, nn.Module]]:
    """The five blocks by Caffe's names of their layers, each with the pooling before it."""
    channels = 3
    for block, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), start=1):
        parts: dict[str, nn.Module] = {f"pool{block - 1}": pools[block - 2]} if block > 1 else {}
        for i in range(1, depth + 1):
            parts[f"conv{block}_{i}"] = ConvNorm(channels, width, norm=norm, bias=True, act=act)
            channels = width
        yield parts


class VGGHead(nn.Module):
    """The mean of ``cells`` x ``cells`` areas of the last map, two hidden layers with ReLU and dropout, one linear
    layer: maps → logits (B, K)."""

    def __init__(self, in_channels: int, cells: int, hidden: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.cells, self.dropout = cells, dropout
        self.fc6 = nn.Linear(in_channels * cells**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        init_normal(self)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = F.adaptive_avg_pool2d(maps[-1], self.cells).flatten(1)
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        return self.fc8(x)


def convolved(state: Mapping[str, Float[Tensor, ...]]) -> dict[str, Tensor]:
    """The state dict of a VGG-16 classifier as one of :class:`VGG16SSD`.

    fc6 is a 7x7 and fc7 a 1x1 convolution of 4096 channels; of them stay every fourth channel and, of the 7x7 kernel,
    every third row and column (1512.02325 §3.1, 1506.04579), which reach as far with dilation 6 as 7x7 with 3.
    """
    first = state["head.fc6.weight"].reshape(4096, 512, 7, 7)[::4, :, ::3, ::3]
    second = state["head.fc7.weight"][::4, ::4, None, None]
    kept = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    return kept | {
        "fc6.conv.weight": first,
        "fc6.conv.bias": state["head.fc6.bias"][::4],
        "fc7.conv.weight": second,
        "fc7.conv.bias": state["head.fc7.bias"][::4],
    }


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 69.02})
def vgg11(**options) -> VGG:
    """VGG-11: 9.2 M parameters without a classifier."""
    return VGG(D11, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 69.93})
def vgg13(**options) -> VGG:
    """VGG-13: 9.4 M parameters without a classifier."""
    return VGG(D13, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 71.59})
def vgg16(**options) -> VGG:
    """VGG-16: 14.7 M parameters without a classifier."""
    return VGG(D16, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 72.38})
def vgg19(**options) -> VGG:
    """VGG-19: 20.0 M parameters without a classifier."""
    return VGG(D19, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 70.37})
def vgg11_bn(*, norm: Norm = batch_norm, **options) -> VGG:
    """VGG-11 with batch norm: 9.2 M parameters without a classifier."""
    return vgg11(norm=norm, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 71.59})
def vgg13_bn(*, norm: Norm = batch_norm, **options) -> VGG:
    """VGG-13 with batch norm: 9.4 M parameters without a classifier."""
    return vgg13(norm=norm, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 73.36})
def vgg16_bn(*, norm: Norm = batch_norm, **options) -> VGG:
    """VGG-16 with batch norm: 14.7 M parameters without a classifier."""
    return vgg16(norm=norm, **options)


@backbone(paper="1409.1556", recipe=PAPER, reported={"top1": 74.22})
def vgg19_bn(*, norm: Norm = batch_norm, **options) -> VGG:
    """VGG-19 with batch norm: 20.0 M parameters without a classifier."""
    return vgg19(norm=norm, **options)


def vgg16_ssd(**options) -> VGG16SSD:
    """VGG-16 as the base of SSD: 20.5 M parameters."""
    return VGG16SSD(**options)
