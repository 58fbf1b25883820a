"""Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun 2015), arXiv 1512.03385.

Blocks learn a change of their input instead of a new map, so that depth helps instead of hurting; every later
detector of this library stands on these features. Dims: B images, C channels.

Papers that change a number of it are numbers here: *ResNeXt* (Xie, Girshick, Dollar, Tu, He 2016, 1611.05431) cuts a
bottleneck's 3x3 into ``groups`` paths of ``base_width`` channels each in the first stage (32x4d: 32 paths of 4,
together twice the channels of ResNet's); *Wide ResNets* (Zagoruyko, Komodakis 2016, 1605.07146) doubles its channels
(``base_width=128``); *Bag of Tricks* (He, Zhang, Zhang, Zhang, Xie, Li 2018, 1812.01187) puts three 3x3 convolutions
in place of the stem's 7x7 ("C", ``stem=(32, 32, 64)``) and averages where a shortcut halves the map, so that it reads
all of it ("D", ``avg_down``). Their names here are GluonCV's: v1c, v1d, and v1s for a stem of (64, 64, 128).

Differences from the paper, and between its references:

| | paper, Detectron | torchvision, timm, OpenMMLab | here |
|---|---|---|---|
| a bottleneck halves the map in | its first 1x1 ("caffe") | its 3x3 ("pytorch") | 3x3; ``stride_in_3x3=False`` |
| last norm of a block starts at | 1 | 1; timm, OpenMMLab: 0 (1706.02677 §5.1) | 1; ``last_scale=0.0`` |
| dilated: a stage's first block | – | as before the stage; mmdetection: as its others | first; ``dilate_from=1`` |
| dilated: its shortcut in "D" | – | nothing; timm: a 2x2 mean of stride 1 | nothing |
| dilated: a basic block's second 3x3 | – | timm: spread; mmsegmentation: not | spread |

The first block of a dilated stage has the dilation of the stage before in the convolution that would halve the map,
and everything after it the stage's own: then the dilated network computes the strided one's cells, and those between
them (mmsegmentation calls it ``contract_dilation``). Published top-1 (ImageNet, one crop of 224) are torchvision's
first weights'; of v1c, v1d and v1s timm's port of GluonCV's, of 18 and 34 layers timm's own on crops of 288.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.layers.conv import Act
from baimu.layers.drop_path import DropPath, rising_rates
from baimu.layers.norm import Norm, activated, batch_norm, conv_norm
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

Conv = Callable[..., nn.Module]
"""``nn.Conv2d``, or what is called like it: (in, out, kernel, stride, padding, dilation, groups, bias=False)."""
Plugin = Callable[[int], nn.Module]
"""From channels to a module on maps (B, C, H, W) that keeps their shape."""


class Block(nn.Module):
    """The end that residual blocks have in common: the branch meets the shortcut (§3.2, Eq. 1).

    A subclass builds its branch and then calls :meth:`finish`; its ``forward`` ends with :meth:`join`.
    """

    expansion: int  # channels that come out, for each of the block's width
    shortcut_kernel = 1  # of the shortcuts of stages that halve the map

    def finish(
        self,
        in_channels: int,
        width: int,
        stride: int,
        last: nn.Module,
        norm: Norm,
        act: Act,
        *,
        level: int = 2,
        drop_path: float = 0.0,
        avg_down: bool = False,
        block_plugin: Plugin | None = None,
        last_scale: float = 1.0,
    ) -> None:
        """The shortcut of a block of ``level``, and what stands between the branch's ``last`` norm and the addition.

        ``block_plugin`` makes a module there, of the block's channels (SE, GC, …); the shortcut is added to its answer
        in place. ``drop_path`` is the probability that an image goes without the branch in training. ``last_scale`` is
        the weight that ``last`` starts with: 0 makes the block its shortcut. ``avg_down``: a shortcut halves the map by
        means of 2x2, not by leaving cells out.
        """
        channels, kernel = width * self.expansion, self.shortcut_kernel if level > 2 else 1
        self.downsample = None
        if stride != 1 or in_channels != channels:  # a projection only where the shape changes (option B of §4.1)
            self.downsample = Shortcut(in_channels, channels, kernel, stride, norm, avg_down)
        self.plugin = None if block_plugin is None else block_plugin(channels)
        self.drop_path = DropPath(drop_path)
        self.act = act()
        if last_scale != 1:
            nn.init.constant_(last.get_parameter("weight"), last_scale)

    def join(self, conv: nn.Module, norm: nn.Module, branch: Tensor, x: Tensor) -> Tensor:
        """The block of input ``x``, whose ``branch`` has only its last convolution and norm to go."""
        shortcut = x if self.downsample is None else self.downsample(x)
        if self.plugin is None and (self.drop_path.rate == 0 or not self.training):
            return conv_norm(conv, norm, branch, add=shortcut, act=self.act)
        branch = conv_norm(conv, norm, branch)
        branch = branch if self.plugin is None else self.plugin(branch)
        return activated(self.drop_path(branch).add_(shortcut), self.act)


class Shortcut(nn.Sequential):
    """Convolution and norm, under the names ``0`` and ``1`` that every ResNet checkpoint gives them; with ``avg_down``
    a pooling comes first (where the map keeps its size, nothing in its place)."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, norm: Norm, avg_down: bool) -> None:
        pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        conv_stride = 1 if avg_down else stride
        conv = nn.Conv2d(in_channels, channels, kernel, conv_stride, kernel // 2, bias=False)
        super().__init__(*([pool] if avg_down else []), conv, norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        *pool, conv, norm = self
        for layer in pool:
            x = layer(x)
        return conv_norm(conv, norm, x)


class BasicBlock(Block):
    """Two 3x3 convolutions around the shortcut (Fig. 5 left). ``end`` is of :meth:`Block.finish`."""

    expansion = 1

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
        stride_in_3x3: bool = True,
        groups: int = 1,
        base_width: int = 64,
        **end: Any,
    ) -> None:
        super().__init__()
        del stride_in_3x3  # a basic block has only one place for it
        if (groups, base_width) != (1, 64):
            raise ValueError(f"only bottlenecks have groups and a base width, got {groups} and {base_width}")
        self.conv1 = conv(
            in_channels, width, 3, stride=stride, padding=entry_dilation, dilation=entry_dilation, bias=False
        )
        self.bn1 = norm(width)
        self.act1 = act()
        self.conv2 = conv(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm(width)
        self.finish(in_channels, width, stride, self.bn2, norm, act, **end)

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        return self.join(self.conv2, self.bn2, out, x)


class Bottleneck(Block):
    """1x1 down, 3x3, 1x1 up around the shortcut (Fig. 5 right; with groups, 1611.05431 Fig. 3c).

    ``dilation`` spreads a 3x3 that sees the map as it leaves the block, ``entry_dilation`` one that sees it as it
    comes in; ``end`` is of :meth:`Block.finish`.
    """

    expansion = 4
    narrowing = 1  # the first 1x1 has that many times fewer channels than the 3x3

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
        stride_in_3x3: bool = True,
        groups: int = 1,
        base_width: int = 64,
        **end: Any,
    ) -> None:
        super().__init__()
        first, second = (1, stride) if stride_in_3x3 else (stride, 1)
        spread = entry_dilation if stride_in_3x3 else dilation
        inner = width * base_width // 64 * groups
        narrow = inner // self.narrowing
        self.conv1 = nn.Conv2d(in_channels, narrow, 1, first, bias=False)
        self.bn1 = norm(narrow)
        self.act1 = act()
        self.conv2 = conv(narrow, inner, 3, stride=second, padding=spread, dilation=spread, groups=groups, bias=False)
        self.bn2 = norm(inner)
        self.act2 = act()
        self.conv3 = nn.Conv2d(inner, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.finish(in_channels, width, stride, self.bn3, norm, act, **end)

    def forward(self, x: Tensor) -> Tensor:
        out = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        out = conv_norm(self.conv2, self.bn2, out, act=self.act2)
        return self.join(self.conv3, self.bn3, out, x)


class ResNet(Stages):
    """Maps C1 (the stem's) to C5 of strides 2…32; ``out``, ``frozen_stages`` and ``checkpointing`` as of
    :class:`~baimu.backbones.stages.Stages`.

    ``norm`` and ``act`` make every normalisation and activation. ``stem``: channels of one 7x7 convolution, or of
    several 3x3. ``small_images``: a stem for images of about 32 pixels, 3x3 of stride 1 without pooling (§4.2), so that
    all strides are a quarter. ``drop_path``: the probability of the last block to be left away, from 0 for the first.

    ``output_stride`` 16 or 8 keeps the map from there on and spreads the later 3x3 convolutions instead, in each stage
    from its first or second block on (``dilate_from``; 0: nothing is spread, re-identification's "last stride of 1").
    ``multi_grid`` multiplies the dilation of each block of the last stage (1706.05587 §3.2.1: (1, 2, 4)).

    ``options`` are those of the blocks: ``groups``, ``base_width``, ``stride_in_3x3``, ``avg_down``, ``last_scale``,
    ``conv`` (makes every 3x3: deformable, …) and ``block_plugin``; the last two only at the levels ``plugged``. What
    they make keeps the initialisation that it came with.
    """

    def __init__(
        self,
        block: type[Block],
        depths: tuple[int, int, int, int],
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        act: Act = nn.ReLU,
        frozen_stages: int = 0,
        checkpointing: bool = False,
        stem: tuple[int, ...] = (64,),
        small_images: bool = False,
        output_stride: int = 32,
        dilate_from: int = 2,
        multi_grid: Sequence[int] = (),
        drop_path: float = 0.0,
        plugged: Sequence[int] = (2, 3, 4, 5),
        **options: Any,
    ) -> None:
        scale = 4 if small_images else 1
        levels = {1: (stem[-1], 2)} | {
            level: (64 * 2 ** (level - 2) * block.expansion, min(2**level, output_stride)) for level in range(2, 6)
        }
        levels = {level: (channels, max(1, stride // scale)) for level, (channels, stride) in levels.items()}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        self.stride_in_3x3 = options.get("stride_in_3x3", True) if block is Bottleneck else None
        self.pool = nn.Identity() if small_images else nn.MaxPool2d(3, 2, 1)  # between the stem and the blocks
        self.stem_layers = tuple(range(1, len(stem) + 1))
        for i, (before, channels) in enumerate(itertools.pairwise((3, *stem)), start=1):
            kernel, stride = 7 if stem == (channels,) and not small_images else 3, 1 if small_images or i > 1 else 2
            self.add_module(f"conv{i}", nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False))
            self.add_module(f"bn{i}", norm(channels))
            self.add_module(f"act{i}", act())
        strides = _strides(depths, output_stride, dilate_from, multi_grid)
        rates, channels = iter(rising_rates(drop_path, sum(depths))), stem[-1]
        bare = {key: value for key, value in options.items() if key not in ("conv", "block_plugin")}
        for level, places in zip(self.levels[1:], strides, strict=False):
            width, blocks = 64 * 2 ** (level - 2), []
            for stride, entry, own in places:
                given = {**(options if level in plugged else bare), "level": level, "drop_path": next(rates)}
                blocks.append(
                    block(channels, width, stride, norm, act=act, entry_dilation=entry, dilation=own, **given)
                )
                channels = width * block.expansion
            self.add_module(f"layer{level - 1}", nn.Sequential(*blocks))
        init_convolutions(self)
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        if level > 1:
            return [self.get_submodule(f"layer{level - 1}")]
        return [self.get_submodule(f"{name}{i}") for i in self.stem_layers for name in ("conv", "bn", "act")]

    def stage(self, level: int, x: Tensor) -> Tensor:
        if level > 1:
            return self.get_submodule(f"layer{level - 1}")(self.pool(x) if level == 2 else x)
        for i in self.stem_layers:
            conv, norm, act = (self.get_submodule(f"{name}{i}") for name in ("conv", "bn", "act"))
            x = conv_norm(conv, norm, x, act=act)
        return x


def _strides(
    depths: Sequence[int], output_stride: int, dilate_from: int, multi_grid: Sequence[int]
) -> list[list[tuple[int, int, int]]]:
    """Of each block of each stage: its stride, and the dilations of what sees the map as it comes in and leaves."""
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
    if dilate_from not in (0, 1, 2):
        raise ValueError(f"dilate_from must be 1 or 2, the first or second block of a stage, or 0, got {dilate_from}")
    if multi_grid and len(multi_grid) != depths[-1]:
        raise ValueError(f"multi_grid needs a factor for each of {depths[-1]} blocks, got {tuple(multi_grid)}")
    stages, before = [], 1
    for stage, depth in enumerate(depths):
        keeps = 4 * 2**stage > output_stride
        own = 2 * before if keeps and dilate_from else before
        first = (1 if keeps or stage == 0 else 2, before if dilate_from == 2 else own, own)
        stages.append([first, *[(1, own, own)] * (depth - 1)])
        before = own
    if multi_grid:
        stages[-1] = [(s, unit * own, unit * own) for unit, (s, _, own) in zip(multi_grid, stages[-1], strict=True)]
    return stages


def init_convolutions(part: nn.Module) -> None:
    """He's normal initialisation, by what comes out (1502.01852 §2.2), of all but what plug-ins bring along."""
    for name, child in part.named_children():
        if type(child) is nn.Conv2d:
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(child, Block | nn.Sequential | nn.ModuleList) and name != "plugin":
            init_convolutions(child)


@backbone(paper="1512.03385", recipe=imagenet_90, reported={"top1": 69.76})
def resnet18(**options) -> ResNet:
    """ResNet-18: 11.2 M parameters without a classifier."""
    return ResNet(BasicBlock, (2, 2, 2, 2), **options)


@backbone(paper="1512.03385", recipe=imagenet_90, reported={"top1": 73.31})
def resnet34(**options) -> ResNet:
    """ResNet-34: 21.3 M parameters without a classifier."""
    return ResNet(BasicBlock, (3, 4, 6, 3), **options)


@backbone(paper="1512.03385", recipe=imagenet_90, reported={"top1": 76.13})
def resnet50(**options) -> ResNet:
    """ResNet-50: 23.5 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 4, 6, 3), **options)


@backbone(paper="1512.03385", recipe=imagenet_90, reported={"top1": 77.37})
def resnet101(**options) -> ResNet:
    """ResNet-101: 42.5 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 4, 23, 3), **options)


@backbone(paper="1512.03385", recipe=imagenet_90, reported={"top1": 78.31})
def resnet152(**options) -> ResNet:
    """ResNet-152: 58.1 M parameters without a classifier."""
    return ResNet(Bottleneck, (3, 8, 36, 3), **options)


@backbone(paper="1611.05431", recipe=imagenet_90, reported={"top1": 77.62})
def resnext50_32x4d(**options) -> ResNet:
    """ResNeXt-50 of 32 paths of 4 channels: 23.0 M parameters without a classifier."""
    return resnet50(groups=32, base_width=4, **options)


@backbone(paper="1611.05431", recipe=imagenet_90)
def resnext101_32x4d(**options) -> ResNet:
    """ResNeXt-101 of 32 paths of 4 channels: 42.1 M parameters without a classifier."""
    return resnet101(groups=32, base_width=4, **options)


@backbone(paper="1611.05431", recipe=imagenet_90, reported={"top1": 79.31})
def resnext101_32x8d(**options) -> ResNet:
    """ResNeXt-101 of 32 paths of 8 channels: 86.7 M parameters without a classifier."""
    return resnet101(groups=32, base_width=8, **options)


@backbone(paper="1611.05431", recipe=imagenet_90, reported={"top1": 83.25})
def resnext101_64x4d(**options) -> ResNet:
    """ResNeXt-101 of 64 paths of 4 channels: 81.4 M parameters without a classifier."""
    return resnet101(groups=64, base_width=4, **options)


@backbone(paper="1605.07146", recipe=imagenet_90, reported={"top1": 78.47})
def wide_resnet50_2(**options) -> ResNet:
    """ResNet-50 with twice the channels in the 3x3 convolutions: 66.8 M parameters without a classifier."""
    return resnet50(base_width=128, **options)


@backbone(paper="1605.07146", recipe=imagenet_90, reported={"top1": 78.85})
def wide_resnet101_2(**options) -> ResNet:
    """ResNet-101 with twice the channels in the 3x3 convolutions: 124.8 M parameters without a classifier."""
    return resnet101(base_width=128, **options)


bag_of_tricks = imagenet_90.replace(
    epochs=200,
    batch_size=1024,
    schedule="cosine",
    warmup_steps=6255,
    norm_decay=False,
    bias_decay=False,
    color_jitter=0.4,
    label_smoothing=0.1,
    mixup_alpha=0.2,
)
"""1812.01187 §3, §5: 200 epochs to a rate of 0 along a cosine after five of warm-up, no decay of norms and biases,
smoothed labels and mixup (but no distillation)."""


@backbone(paper="1812.01187", recipe=bag_of_tricks)
def resnet18_v1c(**options) -> ResNet:
    """ResNet-18-C, three 3x3 convolutions in front: 11.2 M parameters without a classifier."""
    return resnet18(stem=(32, 32, 64), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 78.01})
def resnet50_v1c(**options) -> ResNet:
    """ResNet-50-C, three 3x3 convolutions in front: 23.5 M parameters without a classifier."""
    return resnet50(stem=(32, 32, 64), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 79.54})
def resnet101_v1c(**options) -> ResNet:
    """ResNet-101-C, three 3x3 convolutions in front: 42.5 M parameters without a classifier."""
    return resnet101(stem=(32, 32, 64), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 79.91})
def resnet152_v1c(**options) -> ResNet:
    """ResNet-152-C, three 3x3 convolutions in front: 58.2 M parameters without a classifier."""
    return resnet152(stem=(32, 32, 64), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 73.79})
def resnet18_v1d(**options) -> ResNet:
    """ResNet-18-D, shortcuts that average: 11.2 M parameters without a classifier."""
    return resnet18(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 78.44})
def resnet34_v1d(**options) -> ResNet:
    """ResNet-34-D, shortcuts that average: 21.3 M parameters without a classifier."""
    return resnet34(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 79.08})
def resnet50_v1d(**options) -> ResNet:
    """ResNet-50-D, shortcuts that average: 23.5 M parameters without a classifier."""
    return resnet50(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 80.43})
def resnet101_v1d(**options) -> ResNet:
    """ResNet-101-D, shortcuts that average: 42.5 M parameters without a classifier."""
    return resnet101(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 80.48})
def resnet152_v1d(**options) -> ResNet:
    """ResNet-152-D, shortcuts that average: 58.2 M parameters without a classifier."""
    return resnet152(stem=(32, 32, 64), avg_down=True, **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 78.72})
def resnet50_v1s(**options) -> ResNet:
    """ResNet-50 with a stem of 64, 64 and 128 channels: 23.6 M parameters without a classifier."""
    return resnet50(stem=(64, 64, 128), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 80.3})
def resnet101_v1s(**options) -> ResNet:
    """ResNet-101 with a stem of 64, 64 and 128 channels: 42.6 M parameters without a classifier."""
    return resnet101(stem=(64, 64, 128), **options)


@backbone(paper="1812.01187", recipe=bag_of_tricks, reported={"top1": 81.0})
def resnet152_v1s(**options) -> ResNet:
    """ResNet-152 with a stem of 64, 64 and 128 channels: 58.3 M parameters without a classifier."""
    return resnet152(stem=(64, 64, 128), **options)
