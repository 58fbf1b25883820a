"""Deep Layer Aggregation (Yu, Wang, Shelhamer, Darrell 2017), arXiv 1707.06484.

Blocks are the leaves of a binary tree: each node (a *root*) joins the outputs of two subtrees and of all nodes that
ended before it on the way, so that every depth of a stage is heard at its end. One tree makes one level; the next one
reads it (hierarchical deep aggregation, Fig. 2f). The iterative aggregation of Fig. 4, up to one fine map for
segmentation and for CenterNet, is a neck and not here.

Dims: B images, C channels. A tree of depth d has 2^d blocks.

Differences from the paper and its code (ucbdrive/dla): a tree's shortcut is projected only in trees of depth 1; the
code also makes projections for the deeper ones and never uses them (their parameters are left out, as in timm). Roots
are residual in DLA-102 and DLA-169 alone. The pooling of the shortcut rounds up as the convolutions do, so that images
of any size pass (theirs: multiples of 32). No dilation: it would change what that pooling sees.

``reported``: the authors' weights, measured by timm at 224 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.layers.activations import activation
from baimu.layers.conv import Act
from baimu.layers.norm import Norm, batch_norm, conv_norm
from baimu.layers.residual import ConvNormPair
from baimu.recipes import imagenet_90
from baimu.zoo import backbone


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut that comes from outside."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: Norm, act: Act) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = norm(out_channels)
        self.act1, self.act2 = act(), act()

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        x = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        return conv_norm(self.conv2, self.bn2, x, add=shortcut, act=self.act2)


class Bottleneck(nn.Module):
    """1x1 to half the channels, 3x3, 1x1 back, and a shortcut that comes from outside.

    In DLA-X the 3x3 is cut into ``groups`` of ``base_width`` channels for each 128 of the block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        norm: Norm,
        act: Act,
        groups: int = 1,
        base_width: int = 64,
    ) -> None:
        super().__init__()
        inner = out_channels * base_width // 64 * groups // 2
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.act1, self.act2, self.act3 = act(), act(), act()

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        x = conv_norm(self.conv1, self.bn1, x, act=self.act1)
        x = conv_norm(self.conv2, self.bn2, x, act=self.act2)
        return conv_norm(self.conv3, self.bn3, x, add=shortcut, act=self.act3)


Block = Callable[..., BasicBlock | Bottleneck]
"""(in_channels, out_channels, stride, norm=…, act=…) → a leaf."""


class Root(nn.Module):
    """The node that joins its children by a 1x1 convolution (§3.3), around the first of them if it is residual."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm, act: Act, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = norm(out_channels)
        self.act = act()
        self.residual = residual

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        shortcut = first if self.residual else None
        return conv_norm(self.conv, self.norm, torch.cat((first, *others), 1), add=shortcut, act=self.act)


class Tree(nn.Module):
    """2^depth blocks (§3.2), of which the first has the stride; the last root hears ``heard`` channels of earlier
    nodes as well.

    With ``hears_input`` the (pooled) input is one of these: the paper's connection between levels. ``block`` and
    ``root`` make leaves and nodes.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        block: Block,
        root: Callable[..., Root],
        norm: Norm,
        hears_input: bool = False,
        heard: int = 0,
    ) -> None:
        super().__init__()
        self.stride, self.hears_input = stride, hears_input
        heard += in_channels if hears_input else 0
        self.root = self.project = None
        if depth > 1:
            subtree = partial(Tree, depth - 1, block=block, root=root, norm=norm)
            self.tree1 = subtree(in_channels, out_channels, stride)
            self.tree2 = subtree(out_channels, out_channels, 1, heard=heard + out_channels)
            return
        self.tree1 = block(in_channels, out_channels, stride)
        self.tree2 = block(out_channels, out_channels, 1)
        self.root = root(2 * out_channels + heard, out_channels)
        if in_channels != out_channels:
            self.project = ConvNormPair(in_channels, out_channels, 1, norm)

    def forward(self, x: Tensor, heard: tuple[Tensor, ...] = ()) -> Tensor:
        if self.root is None:
            heard = (*heard, self._pooled(x)) if self.hears_input else heard
            first = self.tree1(x)
            return self.tree2(first, (*heard, first))
        pooled = self._pooled(x)
        heard = (*heard, pooled) if self.hears_input else heard
        first = self.tree1(x, pooled if self.project is None else self.project(pooled))
        return self.root(self.tree2(first, first), first, *heard)

    def _pooled(self, x: Tensor) -> Tensor:
        return x if self.stride == 1 else F.max_pool2d(x, self.stride, ceil_mode=True)


class DLA(Stages):
    """Maps of strides 2…32 (levels 1…5); ``out``, ``frozen_stages`` and ``checkpointing`` as of
    :class:`~baimu.backbones.stages.Stages`.

    ``depths`` are those of the trees of levels 2…5, ``channels`` those of levels 0 (of stride 1, no output) to 5.
    ``block`` and ``root`` are the classes of their parts, perhaps with arguments; ``norm`` and ``act`` (a name of
    :mod:`baimu.layers.activations` or a factory) make all normalisations and activations.
    ``small_images``: levels 1 and 2 keep the size, for images of about 32 pixels, so that all strides are a quarter.
    """

    def __init__(
        self,
        block: Block,
        depths: tuple[int, int, int, int],
        channels: tuple[int, int, int, int, int, int],
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        root: Callable[..., Root] = Root,
        norm: Norm = batch_norm,
        act: str | Act = "relu",
        frozen_stages: int = 0,
        checkpointing: bool = False,
        small_images: bool = False,
    ) -> None:
        steps = {level: 1 if small_images and level < 3 else 2 for level in range(1, 6)}
        levels, stride = {}, 1
        for level, step in steps.items():
            stride *= step
            levels[level] = (channels[level], stride)
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        own = {"norm": norm, "act": activation(act, inplace=True)}
        self.base_layer = ConvNormPair(3, channels[0], 7, **own)
        self.level0 = ConvNormPair(channels[0], channels[0], 3, **own)
        self.level1 = ConvNormPair(channels[0], channels[1], 3, stride=steps[1], **own)
        tree = partial(Tree, block=partial(block, **own), root=partial(root, **own), norm=norm)
        for level in self.levels[1:]:
            before, after = channels[level - 1 : level + 1]
            made = tree(depths[level - 2], before, after, steps[level], hears_input=level > 2)
            self.add_module(f"level{level}", made)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        own = self.get_submodule(f"level{level}")
        return [self.base_layer, self.level0, own] if level == 1 else [own]


_recipe = imagenet_90.replace(epochs=120, milestones=(0.25, 0.5, 0.75))
"""§5.1: SGD, 0.1 for 256 images, a tenth after each 30 of 120 epochs."""
_COMPACT = (16, 32, 64, 64, 128, 256)
_WIDE = (16, 32, 128, 256, 512, 1024)
_x32 = partial(Bottleneck, groups=32, base_width=4)
_residual = partial(Root, residual=True)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 74.64})
def dla34(**options) -> DLA:
    """DLA-34, whose features CenterNet and FairMOT read: 15.2 M parameters without a classifier."""
    return DLA(BasicBlock, (1, 2, 2, 1), (16, 32, 64, 128, 256, 512), **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 64.87})
def dla46_c(**options) -> DLA:
    """DLA-46-C, compact: 1.0 M parameters without a classifier."""
    return DLA(Bottleneck, (1, 2, 2, 1), _COMPACT, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 65.99})
def dla46x_c(**options) -> DLA:
    """DLA-X-46-C, compact, 32 paths: 0.8 M parameters without a classifier."""
    return DLA(_x32, (1, 2, 2, 1), _COMPACT, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 67.90})
def dla60x_c(**options) -> DLA:
    """DLA-X-60-C, compact, 32 paths: 1.1 M parameters without a classifier."""
    return DLA(_x32, (1, 2, 3, 1), _COMPACT, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 77.05})
def dla60(**options) -> DLA:
    """DLA-60: 21.0 M parameters without a classifier."""
    return DLA(Bottleneck, (1, 2, 3, 1), _WIDE, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 78.24})
def dla60x(**options) -> DLA:
    """DLA-X-60 of 32 paths: 16.3 M parameters without a classifier."""
    return DLA(_x32, (1, 2, 3, 1), _WIDE, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 78.02})
def dla102(**options) -> DLA:
    """DLA-102, roots residual: 32.2 M parameters without a classifier."""
    return DLA(Bottleneck, (1, 3, 4, 1), _WIDE, root=_residual, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 78.50})
def dla102x(**options) -> DLA:
    """DLA-X-102 of 32 paths, roots residual: 25.3 M parameters without a classifier."""
    return DLA(_x32, (1, 3, 4, 1), _WIDE, root=_residual, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 79.44})
def dla102x2(**options) -> DLA:
    """DLA-X-102 of 64 paths, roots residual: 40.3 M parameters without a classifier."""
    return DLA(partial(Bottleneck, groups=64, base_width=4), (1, 3, 4, 1), _WIDE, root=_residual, **options)


@backbone(paper="1707.06484", recipe=_recipe, reported={"top1": 78.71})
def dla169(**options) -> DLA:
    """DLA-169, roots residual: 52.4 M parameters without a classifier."""
    return DLA(Bottleneck, (2, 3, 5, 1), _WIDE, root=_residual, **options)
