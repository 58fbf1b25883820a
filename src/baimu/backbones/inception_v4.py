"""Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning (Szegedy, Ioffe, Vanhoucke, Alemi
2016), arXiv 1602.07261.

Inception v4 is a larger, more regular v3 whose stem branches too. Inception-ResNet v2 costs as much, but its modules
add a small correction to their map instead of making a new one, and learn faster for it; the correction is scaled down
(0.1…0.2), as networks of more than a thousand channels died in training without that.

Dims: B images, C channels.

| | here, as the authors released it | paper |
|---|---|---|
| Inception-ResNet v2 | v3's stem, 320/1088/2080 channels, 10 + 20 + 10 modules | v4's stem, 384/1154/2048, 5 + 10 + 5 |
| its last module | scale 1, no ReLU after the sum | like the others |
| its last convolution, 1x1 to 1536 | makes the map of level 5 | none |
| batch norm | eps 0.001 | not said |

Both take images in -1…1 of 299 pixels. Stem and reductions do not pad: maps have some cells less than the stride says.
Published top-1 of the released weights (timm, bicubic): 80.14 and 80.43; the paper's single crops: 80.0 and 80.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from baimu.backbones.stages import Chain
from baimu.layers.branches import Branches, Convs, conv_chain, split
from baimu.layers.conv import Act
from baimu.layers.drop_path import DropPath, rising_rates
from baimu.layers.norm import Norm, batch_norm, with_numbers
from baimu.preprocess import signed
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

PAPER = imagenet_90.replace(
    epochs=200,
    optimizer="rmsprop_tf",
    lr=0.045,
    momentum=0.9,
    square_momentum=0.9,
    optimizer_eps=1.0,
    weight_decay=4e-5,
    milestones=tuple(i / 100 for i in range(1, 100)),
    drop=0.94,
    ema_decay=0.9999,
    size=299,
    interpolation="bicubic",
)
"""RMSProp, 6 % off the rate every 2 epochs, the mean of the weights over time (§4, which tells no length)."""

_average = partial(nn.AvgPool2d, 3, 1, 1, count_include_pad=False)


class InceptionV4(Chain):
    """Fig. 9: maps of 64, 160, 384, 1024, 1536 channels at strides 2…32.

    ``out``, ``frozen_stages`` and ``checkpointing`` as of :class:`~baimu.backbones.stages.Stages`; ``norm`` and ``act``
    follow every convolution. ``small_images``: the stem pads, and its first convolution and its first reduction do not
    shrink the map, so that all strides are a quarter.
    """

    dropout = 0.2

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
        levels = _strided((64, 160, 384, 1024, 1536), small_images)
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        chain = partial(conv_chain, norm=with_numbers(norm, eps=1e-3, momentum=0.1), act=act)
        self.add_levels(_v4(chain, small_images))
        _init(self)
        self.freeze()


def _v4(chain: Convs, small_images: bool) -> Iterator[Mapping[str, nn.Module]]:
    stride, padding = (1, 1) if small_images else (2, 0)
    yield {
        "conv2d_1a": chain(3, (32, 3, stride, padding)),
        "conv2d_2a": chain(32, (32, 3, 1, padding)),
        "conv2d_2b": chain(32, (64, 3)),
    }
    yield {
        "mixed_3a": Branches(maxpool=nn.MaxPool2d(3, stride, padding), conv=chain(64, (96, 3, stride, padding))),
    }
    yield {
        "mixed_4a": Branches(
            branch0=chain(160, (64, 1), (96, 3, 1, padding)),
            branch1=chain(160, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, padding)),
        ),
        "mixed_5a": Branches(conv=chain(192, (192, 3, 2, 0)), maxpool=nn.MaxPool2d(3, 2)),
        **{f"mixed_5{letter}": _v4_a(chain) for letter in "bcde"},
    }
    yield {
        "mixed_6a": Branches(
            branch0=chain(384, (384, 3, 2, 0)),
            branch1=chain(384, (192, 1), (224, 3), (256, 3, 2, 0)),
            branch2=nn.MaxPool2d(3, 2),
        ),
        **{f"mixed_6{letter}": _v4_b(chain) for letter in "bcdefgh"},
    }
    yield {
        "mixed_7a": Branches(
            branch0=chain(1024, (192, 1), (192, 3, 2, 0)),
            branch1=chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, 0)),
            branch2=nn.MaxPool2d(3, 2),
        ),
        **{f"mixed_7{letter}": _v4_c(chain) for letter in "bcd"},
    }


def _v4_a(chain: Convs) -> Branches:
    """Fig. 4, at stride 8."""
    return Branches(
        branch0=chain(384, (96, 1)),
        branch1=chain(384, (64, 1), (96, 3)),
        branch2=chain(384, (64, 1), (96, 3), (96, 3)),
        branch3=nn.Sequential(_average(), chain(384, (96, 1))),
    )


def _v4_b(chain: Convs) -> Branches:
    """Fig. 5, at stride 16."""
    return Branches(
        branch0=chain(1024, (384, 1)),
        branch1=chain(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
        branch2=chain(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
        branch3=nn.Sequential(_average(), chain(1024, (128, 1))),
    )


def _v4_c(chain: Convs) -> Branches:
    """Fig. 6, at stride 32."""
    return Branches(
        branch0=chain(1536, (256, 1)),
        branch1=nn.Sequential(chain(1536, (384, 1)), split(chain, 384, 256)),
        branch2=nn.Sequential(
            chain(1536, (384, 1)), chain(384, (448, (3, 1))), chain(448, (512, (1, 3))), split(chain, 512, 256)
        ),
        branch3=nn.Sequential(_average(), chain(1536, (256, 1))),
    )


class InceptionResNetV2(Chain):
    """The released network: maps of 64, 192, 320, 1088, 1536 channels at strides 2…32.

    Arguments as of :class:`InceptionV4`. ``drop_path`` is the rate at which the last correction is left away for an
    image in training; those before it less (1603.09382).
    """

    dropout = 0.2

    def __init__(
        self,
        *,
        out: Sequence[int] = (2, 3, 4, 5),
        norm: Norm = batch_norm,
        act: Act = partial(nn.ReLU, inplace=True),
        frozen_stages: int = 0,
        checkpointing: bool = False,
        drop_path: float = 0.0,
        small_images: bool = False,
    ) -> None:
        levels = _strided((64, 192, 320, 1088, 1536), small_images)
        super().__init__(levels, out=out, frozen_stages=frozen_stages, checkpointing=checkpointing)
        chain = partial(conv_chain, norm=with_numbers(norm, eps=1e-3, momentum=0.1), act=act)
        self.add_levels(_residual_v2(chain, act, iter(rising_rates(drop_path, 40)), small_images))
        _init(self)
        self.freeze()


def _residual_v2(
    chain: Convs, act: Act, rates: Iterator[float], small_images: bool
) -> Iterator[Mapping[str, nn.Module]]:
    stride, padding = (1, 1) if small_images else (2, 0)
    yield {
        "conv2d_1a": chain(3, (32, 3, stride, padding)),
        "conv2d_2a": chain(32, (32, 3, 1, padding)),
        "conv2d_2b": chain(32, (64, 3)),
    }
    yield {
        "maxpool_3a": nn.Identity() if small_images else nn.MaxPool2d(3, 2),
        "conv2d_3b": chain(64, (80, 1)),
        "conv2d_4a": chain(80, (192, 3, 1, padding)),
    }
    yield {
        "maxpool_5a": nn.MaxPool2d(3, 2),
        "mixed_5b": Branches(
            branch0=chain(192, (96, 1)),
            branch1=chain(192, (48, 1), (64, 5)),
            branch2=chain(192, (64, 1), (96, 3), (96, 3)),
            branch3=nn.Sequential(_average(), chain(192, (64, 1))),
        ),
        "repeat": nn.Sequential(*(_block35(chain, act, next(rates)) for _ in range(10))),
    }
    yield {
        "mixed_6a": Branches(
            branch0=chain(320, (384, 3, 2, 0)),
            branch1=chain(320, (256, 1), (256, 3), (384, 3, 2, 0)),
            branch2=nn.MaxPool2d(3, 2),
        ),
        "repeat_1": nn.Sequential(*(_block17(chain, act, next(rates)) for _ in range(20))),
    }
    yield {
        "mixed_7a": Branches(
            branch0=chain(1088, (256, 1), (384, 3, 2, 0)),
            branch1=chain(1088, (256, 1), (288, 3, 2, 0)),
            branch2=chain(1088, (256, 1), (288, 3), (320, 3, 2, 0)),
            branch3=nn.MaxPool2d(3, 2),
        ),
        "repeat_2": nn.Sequential(*(_block8(chain, 0.2, act, next(rates)) for _ in range(9))),
        "block8": _block8(chain, 1.0, nn.Identity, next(rates)),
        "conv2d_7b": chain(2080, (1536, 1)),
    }


class Correction(nn.Module):
    """§3.3: ``act(x + scale * conv1x1(branches(x)))``; the convolution has a bias and no norm."""

    def __init__(self, branches: Branches, inner: int, channels: int, scale: float, act: Act, drop_path: float) -> None:
        super().__init__()
        self.scale = scale
        self.branches = branches
        self.conv2d = nn.Conv2d(inner, channels, 1)
        self.drop_path = DropPath(drop_path)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.drop_path(self.conv2d(self.branches(x)) * self.scale))


def _block35(chain: Convs, act: Act, drop_path: float) -> Correction:
    """Fig. 16, at stride 8 (35 x 35 cells of 299 pixels)."""
    branches = Branches(
        branch0=chain(320, (32, 1)),
        branch1=chain(320, (32, 1), (32, 3)),
        branch2=chain(320, (32, 1), (48, 3), (64, 3)),
    )
    return Correction(branches, 128, 320, 0.17, act, drop_path)


def _block17(chain: Convs, act: Act, drop_path: float) -> Correction:
    """Fig. 17, at stride 16."""
    branches = Branches(
        branch0=chain(1088, (192, 1)),
        branch1=chain(1088, (128, 1), (160, (1, 7)), (192, (7, 1))),
    )
    return Correction(branches, 384, 1088, 0.1, act, drop_path)


def _block8(chain: Convs, scale: float, act: Act, drop_path: float) -> Correction:
    """Fig. 19, at stride 32."""
    branches = Branches(
        branch0=chain(2080, (192, 1)),
        branch1=chain(2080, (192, 1), (224, (1, 3)), (256, (3, 1))),
    )
    return Correction(branches, 448, 2080, scale, act, drop_path)


def _strided(channels: Sequence[int], small_images: bool) -> dict[int, tuple[int, int]]:
    """Levels 1… of strides 2…, or a quarter of that for small images."""
    scale = 4 if small_images else 1
    return {level: (count, max(1, 2**level // scale)) for level, count in enumerate(channels, start=1)}


def _init(network: nn.Module) -> None:
    """Variance scaling by the inputs of a layer, as the authors' code has it."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@backbone(paper="1602.07261", recipe=PAPER, preprocess=signed, reported={"top1": 80.14})
def inception_v4(**options) -> InceptionV4:
    """Inception v4: 41.1 M parameters without a classifier."""
    return InceptionV4(**options)


@backbone(paper="1602.07261", recipe=PAPER.replace(crop_share=0.8975), preprocess=signed, reported={"top1": 80.43})
def inception_resnet_v2(**options) -> InceptionResNetV2:
    """Inception-ResNet v2: 54.3 M parameters without a classifier."""
    return InceptionResNetV2(**options)
