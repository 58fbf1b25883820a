"""ResNeSt: Split-Attention Networks (Zhang, Wu, Zhang, Zhu, Lin, Zhang, Sun, He, Mueller, Manmatha, Li, Smola 2020),
arXiv 2004.08955.

The 3x3 of a bottleneck is made ``radix`` times over (splits), and two small layers on the means of their sum say, for
each channel, how much of each split is taken; the shares add up to 1 (§3.1, Fig. 2). ``groups`` (the paper's
cardinality) makes several such units side by side. Stem and shortcuts are ResNet-D's, and where a block halves the map
a 3x3 mean does it. A name like 4s2x40d means 4 splits, 2 groups, 40 channels. Dims: B images, R splits, G groups, C
channels of all groups.

Differences from the paper: the blocks' order is the authors' ("radix-major": the channels of the first split of all
groups come first), the shares are of the two layers' (G, R, C/G). Differences between the references:

| | authors | timm | OpenMMLab | here |
|---|---|---|---|---|
| shortcut where dilation keeps the map | no mean | 2x2 mean of stride 1 | no mean | no mean |
| branch where dilation keeps the map | 3x3 mean of stride 1 | no mean | no mean | 3x3 mean of stride 1 |
| one split | a sigmoid | a sigmoid | a sigmoid | a sigmoid |
| DropBlock of the larger models' training | 3x3, last two stages | an option | – | not built; dropout of 0.2 is |

Published top-1 is that of the authors' weights as timm measured them, on crops of 224 (to 50 layers), 256, 320, 416.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.resnet import Block, Conv, ResNet, init_convolutions
from baimu.layers.conv import Act
from baimu.layers.norm import Norm, conv_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

recipe = imagenet_90.replace(
    epochs=270,
    batch_size=2048,
    schedule="cosine",
    warmup_steps=3125,
    norm_decay=False,
    bias_decay=False,
    color_jitter=0.4,
    auto_augment="rand",
    label_smoothing=0.1,
    mixup_alpha=0.2,
)
"""§5.1: 270 epochs to a rate of 0 along a cosine after five of warm-up, no decay of norms and biases, smoothed labels,
mixup; RandAugment stands for the paper's AutoAugment."""


class SplitAttention(nn.Module):
    """``radix`` 3x3 convolutions of the same map, weighed channel by channel against one another (Eq. 1–3).

    The means go through a norm as maps of one cell: batch norm needs two images in training, and a group norm more
    channels than groups (there are 32 at least).
    """

    def __init__(
        self,
        channels: int,
        stride: int,
        norm: Norm,
        *,
        radix: int = 2,
        groups: int = 1,
        dilation: int = 1,
        act: Act = nn.ReLU,
        conv: Conv = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups
        between, place = max(channels * radix // 4, 32), {"stride": stride, "padding": dilation, "dilation": dilation}
        self.conv = conv(channels, channels * radix, 3, **place, groups=groups * radix, bias=False)
        self.bn0 = norm(channels * radix)
        self.act0 = act()
        self.fc1 = nn.Conv2d(channels, between, 1, groups=groups)
        self.bn1 = norm(between)
        self.act1 = act()
        self.fc2 = nn.Conv2d(between, channels * radix, 1, groups=groups)
        init_convolutions(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        splits = conv_norm(self.conv, self.bn0, x, act=self.act0).unflatten(1, (self.radix, -1))
        means = splits.mean((3, 4), keepdim=True).sum(1)
        shares = self.shares(self.fc2(conv_norm(self.fc1, self.bn1, means, act=self.act1)))
        out = None
        for part, share in zip(splits.unbind(1), shares.unbind(1), strict=True):
            out = part * share if out is None else torch.addcmul(out, part, share)
        assert out is not None
        return out

    def shares(self, scores: Float[Tensor, "b rc 1 1"]) -> Float[Tensor, "b r c 1 1"]:
        """How much of each split a channel takes: softmax over the splits, sigmoid of a single one (Eq. 3)."""
        scores = scores.unflatten(1, (self.groups, self.radix, -1)).transpose(1, 2).flatten(2, 3)
        return scores.softmax(1) if self.radix > 1 else scores.sigmoid()


class SplitBottleneck(Block):
    """1x1 down, split attention, 1x1 up around the shortcut; a 3x3 mean halves the map after the attention, or before
    it with ``pool_first`` (the ablation's "fast" models). ``end`` is of :meth:`~baimu.backbones.resnet.Block.finish`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        *,
        act: Act = nn.ReLU,
        conv: Conv = nn.Conv2d,
        dilation: int = 1,
        entry_dilation: int = 1,
        radix: int = 2,
        groups: int = 1,
        base_width: int = 64,
        pool_first: bool = False,
        **end: Any,
    ) -> None:
        super().__init__()
        channels, inner = width * self.expansion, width * base_width // 64 * groups
        spread = dilation if pool_first else entry_dilation
        begins = end.get("level", 2) > 2 and in_channels != channels
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.act1 = act()
        self.conv2 = SplitAttention(inner, 1, norm, radix=radix, groups=groups, dilation=spread, act=act, conv=conv)
        self.pool, self.pool_first = nn.AvgPool2d(3, stride, 1) if begins else nn.Identity(), pool_first
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = norm(channels)
        self.finish(in_channels, width, stride, self.bn3, norm, act, **end)

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        out = self.conv2(self.pool(out)) if self.pool_first else self.pool(self.conv2(out))
        return self.join(self.conv3, self.bn3, out, x)


def _resnest(depths: tuple[int, int, int, int], stem: tuple[int, ...] = (32, 32, 64), **options) -> ResNet:
    return ResNet(SplitBottleneck, depths, stem=stem, avg_down=True, **options)


def _large(depths: tuple[int, int, int, int], **options) -> ResNet:
    net = _resnest(depths, (64, 64, 128), **options)
    net.dropout = 0.2
    return net


@backbone(paper="2004.08955", recipe=recipe, reported={"top1": 75.51})
def resnest14(**options) -> ResNet:
    """ResNeSt-14, GluonCV's: 8.6 M parameters without a classifier."""
    return _resnest((1, 1, 1, 1), **options)


@backbone(paper="2004.08955", recipe=recipe, reported={"top1": 78.48})
def resnest26(**options) -> ResNet:
    """ResNeSt-26, GluonCV's: 15.0 M parameters without a classifier."""
    return _resnest((2, 2, 2, 2), **options)


@backbone(paper="2004.08955", recipe=recipe, reported={"top1": 80.96})
def resnest50(**options) -> ResNet:
    """ResNeSt-50: 25.4 M parameters without a classifier."""
    return _resnest((3, 4, 6, 3), **options)


@backbone(paper="2004.08955", recipe=recipe.replace(size=256), reported={"top1": 82.92})
def resnest101(**options) -> ResNet:
    """ResNeSt-101: 46.2 M parameters without a classifier."""
    return _large((3, 4, 23, 3), **options)


@backbone(
    paper="2004.08955",
    recipe=recipe.replace(size=320, crop_share=0.909, interpolation="bicubic"),
    reported={"top1": 83.88},
)
def resnest200(**options) -> ResNet:
    """ResNeSt-200: 68.2 M parameters without a classifier."""
    return _large((3, 24, 36, 3), **options)


@backbone(
    paper="2004.08955",
    recipe=recipe.replace(size=416, crop_share=0.928, interpolation="bicubic"),
    reported={"top1": 84.54},
)
def resnest269(**options) -> ResNet:
    """ResNeSt-269: 108.9 M parameters without a classifier."""
    return _large((3, 30, 48, 8), **options)


@backbone(paper="2004.08955", recipe=recipe, reported={"top1": 81.12})
def resnest50_4s2x40d(**options) -> ResNet:
    """ResNeSt-50 of 4 splits and 2 groups of 40 channels: 28.4 M parameters without a classifier."""
    return _resnest((3, 4, 6, 3), radix=4, groups=2, base_width=40, pool_first=True, **options)


@backbone(paper="2004.08955", recipe=recipe, reported={"top1": 80.99})
def resnest50_1s4x24d(**options) -> ResNet:
    """ResNeSt-50 of one split and 4 groups of 24 channels: 23.6 M parameters without a classifier."""
    return _resnest((3, 4, 6, 3), radix=1, groups=4, base_width=24, pool_first=True, **options)
