"""Squeeze-and-Excitation Networks (Hu, Shen, Albanie, Sun, Wu 2017), arXiv 1709.01507.

A block's branch is weighed channel by channel, just before it meets the shortcut (§3.3, Fig. 3): the means of all
channels go through two small layers, whose answers in 0…1 are the weights (:class:`SqueezeExcite`). Everything else is
the host's: here the plug-in of a ResNet's or ResNeXt's blocks. SENet-154 (appendix) is a ResNeXt of 64 paths with
half as many channels in a block's first 1x1, three 3x3 convolutions in the stem, 3x3 shortcuts where the map is halved,
and dropout of 0.2. Dims: B images, C channels.

Differences between the references:

| | paper (Caffe), timm ``legacy_*`` | timm, GluonCV, OpenMMLab | here |
|---|---|---|---|
| a SE-ResNet's bottleneck halves the map in | its first 1x1 | its 3x3 | 3x3; names ``*_caffe``: 1x1 |
| pooling after the stem | without padding, sizes rounded up | padding of 1 | the latter; ``*_caffe``: the former |
| dropout | timm: 0.2 in all | timm: 0 | 0.2 in SENet-154 only (Caffe's) |

Published top-1 of ``*_caffe`` is the paper's (one crop of 224, its Tables 2 and 4); of the others timm's (SE-ResNet-50
of crops of 288, GluonCV's ResNeXts and SENet-154) and OpenMMLab's (SE-ResNet-101).
"""

from __future__ import annotations

from torch import nn

from baimu.backbones.resnet import Block, Bottleneck, ResNet
from baimu.layers.squeeze_excite import SqueezeExcite
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

recipe = imagenet_90.replace(epochs=100, milestones=(0.3, 0.6, 0.9), lr=0.6, batch_size=1024, lr_batch_size=1024)
"""§6: SGD of 0.6 for 1024 images, a tenth of it after every 30 of 100 epochs."""


def squeeze_excite(channels: int) -> nn.Module:
    """The block's plug-in: a sixteenth of the channels in the middle (§4, reduction r = 16)."""
    plugin = SqueezeExcite(channels, channels // 16)
    for layer in (plugin.reduce, plugin.expand):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return plugin


class SENetBottleneck(Bottleneck):
    """SENet-154's: fewer channels before its 3x3, and a 3x3 in the shortcut that halves the map."""

    narrowing = 2
    shortcut_kernel = 3


class CaffeSENet(ResNet):
    """The layout of the published weights: Caffe's pooling, and a bottleneck's stride in its first 1x1 or its 3x3."""

    def __init__(self, block: type[Block], depths: tuple[int, int, int, int], **options) -> None:
        super().__init__(block, depths, **options)
        self.stride_in_3x3 = None  # part of the layout, and no choice of whoever reads weights
        if isinstance(self.pool, nn.MaxPool2d):
            self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)


def _senet(net: type[ResNet], block: type[Block], depths: tuple[int, int, int, int], **options) -> ResNet:
    return net(block, depths, **{"block_plugin": squeeze_excite, **options})


def _senet154(net: type[ResNet], **options) -> ResNet:
    built = _senet(net, SENetBottleneck, (3, 8, 36, 3), stem=(64, 64, 128), groups=64, base_width=4, **options)
    built.dropout = 0.2
    return built


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 81.28})
def seresnet50(**options) -> ResNet:
    """SE-ResNet-50: 26.0 M parameters without a classifier."""
    return _senet(ResNet, Bottleneck, (3, 4, 6, 3), **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 78.26})
def seresnet101(**options) -> ResNet:
    """SE-ResNet-101: 47.3 M parameters without a classifier."""
    return _senet(ResNet, Bottleneck, (3, 4, 23, 3), **options)


@backbone(paper="1709.01507", recipe=recipe)
def seresnet152(**options) -> ResNet:
    """SE-ResNet-152: 64.8 M parameters without a classifier."""
    return _senet(ResNet, Bottleneck, (3, 8, 36, 3), **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 79.91})
def seresnext50_32x4d(**options) -> ResNet:
    """SE-ResNeXt-50 of 32 paths of 4 channels: 25.5 M parameters without a classifier."""
    return _senet(ResNet, Bottleneck, (3, 4, 6, 3), groups=32, base_width=4, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 80.89})
def seresnext101_32x4d(**options) -> ResNet:
    """SE-ResNeXt-101 of 32 paths of 4 channels: 46.9 M parameters without a classifier."""
    return _senet(ResNet, Bottleneck, (3, 4, 23, 3), groups=32, base_width=4, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 81.23})
def senet154(**options) -> ResNet:
    """SENet-154: 113.0 M parameters without a classifier."""
    return _senet154(ResNet, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 76.71})
def seresnet50_caffe(**options) -> ResNet:
    """SE-ResNet-50 as published: 26.0 M parameters without a classifier."""
    return _senet(CaffeSENet, Bottleneck, (3, 4, 6, 3), stride_in_3x3=False, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 77.62})
def seresnet101_caffe(**options) -> ResNet:
    """SE-ResNet-101 as published: 47.3 M parameters without a classifier."""
    return _senet(CaffeSENet, Bottleneck, (3, 4, 23, 3), stride_in_3x3=False, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 78.43})
def seresnet152_caffe(**options) -> ResNet:
    """SE-ResNet-152 as published: 64.8 M parameters without a classifier."""
    return _senet(CaffeSENet, Bottleneck, (3, 8, 36, 3), stride_in_3x3=False, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 78.90})
def seresnext50_32x4d_caffe(**options) -> ResNet:
    """SE-ResNeXt-50 as published: 25.5 M parameters without a classifier."""
    return _senet(CaffeSENet, Bottleneck, (3, 4, 6, 3), groups=32, base_width=4, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 79.30})
def seresnext101_32x4d_caffe(**options) -> ResNet:
    """SE-ResNeXt-101 as published: 46.9 M parameters without a classifier."""
    return _senet(CaffeSENet, Bottleneck, (3, 4, 23, 3), groups=32, base_width=4, **options)


@backbone(paper="1709.01507", recipe=recipe, reported={"top1": 81.32})
def senet154_caffe(**options) -> ResNet:
    """SENet-154 as published: 113.0 M parameters without a classifier."""
    return _senet154(CaffeSENet, **options)
