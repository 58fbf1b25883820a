"""Deep High-Resolution Representation Learning for Visual Recognition (Wang, Sun, Cheng, Jiang, Deng, Zhao, Liu, Mu,
Tan, Wang, Liu, Xiao 2019), arXiv 1908.07919.

Other networks go from fine to coarse and have to win back what they lost. This one keeps the map of stride 4 to the
end, adds a branch of half its size after each stage (strides 8, 16, 32), and lets all branches hear all others
again and again. Each branch is a level, and all of them are equally deep.

Dims: B images, C the width of the finest branch; its channels are C, 2C, 4C, 8C at strides 4, 8, 16, 32.

A stage is no level here: all maps come out of the last one. Level 1 is the stem's first convolution; ``frozen_stages``
= 2 freezes the stem and stage 1, 3, 4, 5 also stages 2, 3, 4 with the convolutions that begin their branches.

Differences from the paper and its code (HRNet-Image-Classification, HRNet-Semantic-Segmentation): a branch is enlarged
to the size of the one that hears it, not by a fixed factor, so that images of any size pass; equal where sides are
multiples of 32. The paper enlarges bilinearly; the code for classification and detection, and ``upsampling``, have
``"nearest"``, the code for segmentation ``"bilinear"`` (mmsegmentation) or ``"bilinear_corners"`` (the original,
``align_corners=True``). Only branches that are asked for hear the others a last time: ``out=(2,)`` is the paper's
HRNetV1, as for poses. The head's convolutions have biases that the norms behind them make idle; with
``like="openmmlab"`` they have none.

``reported``: the authors' weights, measured by timm at 224 pixels (the paper: W18 76.8, W32 78.5, W48 79.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Stages, computed_again
from baimu.layers.activations import activation
from baimu.layers.conv import Act
from baimu.layers.heads import LinearHead
from baimu.layers.norm import Norm, batch_norm, conv_norm
from baimu.layers.residual import BasicBlock, Bottleneck, ConvNormPair
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

RELU = activation("relu", inplace=True)
Upsampling = Literal["nearest", "bilinear", "bilinear_corners"]
_INTERPOLATE: dict[Upsampling, dict[str, Any]] = {
    "nearest": {"mode": "nearest"},
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "bilinear_corners": {"mode": "bilinear", "align_corners": True},
}


class _Fusion(nn.Module):
    """One branch hears all: finer ones through strided convolutions, coarser ones through 1x1 and enlargement."""

    def __init__(self, channels: Sequence[int], to: int, norm: Norm, act: Act, upsampling: Upsampling) -> None:
        super().__init__()
        self.index = to
        self.interpolate = _INTERPOLATE[upsampling]
        for i, width in enumerate(channels[:to]):
            self.add_module(str(i), _descent(width, channels[to], to - i, norm, act, ends_in_act=False))
        for i, width in enumerate(channels[to + 1 :], to + 1):
            self.add_module(str(i), ConvNormPair(width, channels[to], 1, norm))
        self.act = act()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        total = maps[self.index]
        *paths, act = self.children()
        for path, x in zip(paths, (*maps[: self.index], *maps[self.index + 1 :]), strict=True):
            if isinstance(path, ConvNormPair):
                total = F.interpolate(path(x), size=total.shape[-2:], **self.interpolate).add_(total)
            else:
                assert isinstance(path, nn.Sequential)
                *steps, last = path
                for step in steps:
                    x = step(x)
                total = last(x, add=total)
        return act(total)


def _descent(
    in_channels: int, out_channels: int, steps: int, norm: Norm, act: Act, *, ends_in_act: bool
) -> nn.Sequential:
    """Strided 3x3 convolutions, of which the last changes the channels."""
    return nn.Sequential(
        *(ConvNormPair(in_channels, in_channels, 3, norm, stride=2, act=act) for _ in range(steps - 1)),
        ConvNormPair(in_channels, out_channels, 3, norm, stride=2, act=act if ends_in_act else None),
    )


class HRModule(nn.Module):
    """Residual blocks on each branch, then the exchange (Fig. 3); ``heard`` are the branches that come out."""

    def __init__(
        self,
        channels: Sequence[int],
        blocks: int,
        heard: Sequence[int],
        *,
        norm: Norm,
        act: Act = RELU,
        upsampling: Upsampling = "nearest",
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width, norm, act=act) for _ in range(blocks))) for width in channels
        )
        self.fuse_layers = nn.ModuleDict({str(to): _Fusion(channels, to, norm, act, upsampling) for to in heard})

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [fusion(maps) for fusion in self.fuse_layers.values()]


class HRNet(Stages):
    """Maps of strides 4…32 (levels 2…5), and of the stem (level 1, stride 2); ``out``, ``frozen_stages`` and
    ``checkpointing`` as of :class:`~baimu.backbones.stages.Stages`.

    ``width`` is C. Stage 1 has ``stem_blocks`` bottlenecks of 4 * ``stem_width`` channels; stages 2, 3, 4 have
    ``modules`` exchanges with ``blocks`` residual blocks before each. ``small_images``: a stem of stride 1 for images
    of about 32 pixels, so that all strides are a quarter. ``norm`` and ``act`` (a name of
    :mod:`baimu.layers.activations` or a factory) make all normalisations and activations, of the head too.
    """

    def __init__(
        self,
        width: int,
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        act: str | Act = "relu",
        frozen_stages: int = 0,
        checkpointing: bool = False,
        upsampling: Upsampling = "nearest",
        stem_blocks: int = 4,
        stem_width: int = 64,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        like: Literal["authors", "openmmlab"] = "authors",
        small_images: bool = False,
    ) -> None:
        if like not in ("authors", "openmmlab"):
            raise ValueError(f'like must be "authors" or "openmmlab", got {like!r}')
        if upsampling not in _INTERPOLATE:
            raise ValueError(f"upsampling must be one of {', '.join(_INTERPOLATE)}, got {upsampling!r}")
        scale = 4 if small_images else 1
        widths = [width * 2**i for i in range(4)]
        levels = {1: (64, 2 // min(2, scale))} | {i + 2: (widths[i], 2 ** (i + 2) // scale) for i in range(4)}
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        self.norm, self.act, self.like = norm, activation(act, inplace=True), like
        self.act1 = self.act()
        step = 1 if small_images else 2
        self.conv1 = nn.Conv2d(3, 64, 3, step, 1, bias=False)
        self.bn1 = norm(64)
        if max(out) > 1:
            self.levels = tuple(levels)  # every branch hears all others, so that each needs all stages
            self.conv2 = nn.Conv2d(64, 64, 3, step, 1, bias=False)
            self.bn2 = norm(64)
            self.act2 = self.act()
            wide = 4 * stem_width
            self.layer1 = nn.Sequential(
                *(Bottleneck(wide if i else 64, wide, norm, act=self.act) for i in range(stem_blocks))
            )
            exchange = partial(HRModule, norm=norm, act=self.act, upsampling=upsampling)
            before = [wide]
            for stage, count in zip((2, 3, 4), modules, strict=True):
                every = range(stage)
                last = every if stage < 4 else [level - 2 for level in self.out if level > 1]
                self.add_module(f"transition{stage - 1}", _transition(before, widths[:stage], norm, self.act))
                before = widths[:stage]
                exchanges = (exchange(before, blocks, heard) for heard in [every] * (count - 1) + [last])
                self.add_module(f"stage{stage}", nn.Sequential(*exchanges))
        _start(self)
        self.freeze()

    def parts(self, level: int) -> list[nn.Module]:
        if level == 1:
            return [self.conv1, self.bn1, self.act1]
        if level == 2:
            return [self.conv2, self.bn2, self.act2, self.layer1]
        return [self.get_submodule(f"transition{level - 2}"), self.get_submodule(f"stage{level - 1}")]

    def advance(self, level: int, maps: list[Tensor]) -> list[Tensor]:
        """The maps of all branches after the stage that begins ``level``, from those before it."""
        if level == 1:
            return [conv_norm(self.conv1, self.bn1, maps[0], act=self.act1)]
        if level == 2:
            return [self.layer1(conv_norm(self.conv2, self.bn2, maps[0], act=self.act2))]
        transition, exchanges = self.parts(level)
        assert isinstance(transition, nn.ModuleList)
        *kept, grown = transition
        return exchanges([*(path(x) for path, x in zip(kept, maps, strict=True)), grown(maps[-1])])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → the maps of ``out``."""
        maps, stem = [images], []
        for level in self.levels:
            run = partial(self.advance, level)
            maps = computed_again(run, self.parts(level), maps) if self.forgets else run(maps)
            if level == 1 and level in self.out:
                stem = maps
        return stem if self.levels == (1,) else stem + maps

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        """The paper's head on the branches of ``out``; on the stem alone a linear layer."""
        branches = {level - 2: c for level, c in zip(self.out, self.channels, strict=True) if level > 1}
        if not branches:
            return super().make_head(num_classes, dropout)
        bias = self.like == "authors"
        return HRNetHead(branches, num_classes, dropout, norm=self.norm, act=self.act, bias=bias)


def _transition(before: Sequence[int], channels: Sequence[int], norm: Norm, act: Act) -> nn.ModuleList:
    """From the branches of one stage to those of the next: the new one grows out of the coarsest."""
    kept = [
        nn.Identity() if width == channels[i] else ConvNormPair(width, channels[i], 3, norm, act=act)
        for i, width in enumerate(before)
    ]
    return nn.ModuleList([*kept, _descent(before[-1], channels[-1], 1, norm, act, ends_in_act=True)])


def _start(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class HRNetHead(nn.Module):
    """The paper's classifier: each branch widened by a bottleneck, added up from fine to coarse through strided
    convolutions, 2048 channels, mean, linear layer.

    ``branches`` gives the channels of those that come, by index; an absent one adds nothing.
    """

    def __init__(
        self,
        branches: dict[int, int],
        num_classes: int,
        dropout: float = 0.0,
        *,
        norm: Norm,
        act: Act = RELU,
        bias: bool = True,
    ) -> None:
        super().__init__()
        widths = (128, 256, 512, 1024)
        self.present = tuple(branches)
        self.incre_modules = nn.ModuleDict(
            {str(i): nn.Sequential(Bottleneck(channels, widths[i], norm, act=act)) for i, channels in branches.items()}
        )
        self.downsamp_modules = nn.ModuleDict(
            {
                str(i): ConvNormPair(widths[i], widths[i + 1], 3, norm, stride=2, act=act, bias=bias)
                for i in range(self.present[0], 3)
            }
        )
        self.final_layer = ConvNormPair(1024, 2048, 1, norm, act=act, bias=bias)
        self.classifier = LinearHead(2048, num_classes, dropout)
        _start(self)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        given = dict(zip(reversed(self.present), reversed(maps), strict=False))  # without the stem's
        first = self.present[0]
        x = self.incre_modules[str(first)](given[first])
        for i in range(first + 1, 4):
            x = self.downsamp_modules[str(i - 1)](x)
            if i in given:
                x = x + self.incre_modules[str(i)](given[i])
        return self.classifier([self.final_layer(x)])


_recipe = imagenet_90.replace(epochs=100, milestones=(0.3, 0.6, 0.9), optimizer="nesterov")
"""As in the authors' configurations: Nesterov's momentum, 0.1 for 256 images, drops after 30, 60, 90 of 100 epochs."""


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 72.34})
def hrnet_w18_small(**options) -> HRNet:
    """HRNet-W18-Small v1, narrow (C = 16) and shallow: 13.2 M parameters with its classifier."""
    return HRNet(16, stem_blocks=1, stem_width=32, modules=(1, 1, 1), blocks=2, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 75.11})
def hrnet_w18_small_v2(**options) -> HRNet:
    """HRNet-W18-Small v2, half as deep as W18: 15.6 M parameters with its classifier."""
    return HRNet(18, stem_blocks=2, modules=(1, 3, 2), blocks=2, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 76.75})
def hrnet_w18(**options) -> HRNet:
    """HRNet-W18: 9.6 M parameters, 21.3 M with its classifier."""
    return HRNet(18, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 78.19})
def hrnet_w30(**options) -> HRNet:
    """HRNet-W30: 37.7 M parameters with its classifier."""
    return HRNet(30, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 78.44})
def hrnet_w32(**options) -> HRNet:
    """HRNet-W32: 29.3 M parameters, 41.2 M with its classifier."""
    return HRNet(32, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 78.93})
def hrnet_w40(**options) -> HRNet:
    """HRNet-W40: 57.6 M parameters with its classifier."""
    return HRNet(40, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 78.89})
def hrnet_w44(**options) -> HRNet:
    """HRNet-W44: 67.1 M parameters with its classifier."""
    return HRNet(44, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 79.30})
def hrnet_w48(**options) -> HRNet:
    """HRNet-W48: 65.3 M parameters, 77.5 M with its classifier."""
    return HRNet(48, **options)


@backbone(paper="1908.07919", recipe=_recipe, reported={"top1": 79.47})
def hrnet_w64(**options) -> HRNet:
    """HRNet-W64: 128.1 M parameters with its classifier."""
    return HRNet(64, **options)
