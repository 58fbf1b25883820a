"""EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan, Le 2019), arXiv 1905.11946.

Depth, width and resolution help most when they grow together: a small network found by search (B0), made of MobileNet
v2's blocks with SE layers, is scaled by one number, phi, to depth 1.2^phi, width 1.1^phi and resolution 1.15^phi
(Eq. 3): each step about twice the work.

Differences from the paper and the references:

=============  =======================================================================================================
scaling        the authors' rounded factors, not the powers: channels to multiples of 8, blocks rounded up; the stem and
               the last 1x1 convolution are scaled too, as in their code
batch norm     momentum 0.01 and eps 1e-3 as in the paper's code for B5–B7 and all ``tf_`` forms; B0–B4 have torch's 0.1
               and 1e-5, as torchvision trained them
padding        ``tf_efficientnet_*`` pad as TensorFlow's SAME does, for weights from there (timm's ``tf_*``,
               mmpretrain's); the others evenly, as torchvision
drop path      0.2 · i / n for block i of n, as in all three codes (never all of 0.2)
recipe         RMSProp, decay and moving average are the paper's; its rate falls by 0.97 every 2.4 epochs, here as a
               cosine, and TrivialAugment stands for AutoAugment
=============  =======================================================================================================

Top-1 figures: the paper's (its last version) for ``tf_`` forms, else of torchvision's first weights; at the size of
each, in percent.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from baimu.backbones.depthwise import DepthwiseStages, InvertedResidual, Like, Row, rounded, scaled
from baimu.layers.conv import Act
from baimu.layers.heads import ConvHead
from baimu.layers.norm import Norm, batch_norm, with_numbers
from baimu.layers.squeeze_excite import SqueezeExcite
from baimu.recipes import Recipe, imagenet_90
from baimu.zoo import backbone

B0 = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 40, 2, 2, 5),
    Row(6, 80, 3, 2),
    Row(6, 112, 3, 1, 5),
    Row(6, 192, 4, 2, 5),
    Row(6, 320, 1, 1),
)
"""Table 1."""

SCALES = (
    (1.0, 1.0, 224, 0.2),
    (1.0, 1.1, 240, 0.2),
    (1.1, 1.2, 260, 0.3),
    (1.2, 1.4, 300, 0.3),
    (1.4, 1.8, 380, 0.4),
    (1.6, 2.2, 456, 0.4),
    (1.8, 2.6, 528, 0.5),
    (2.0, 3.1, 600, 0.5),
)
"""Of B0…B7: width, depth, resolution, dropout."""


def recipe(scale: int) -> Recipe:
    """§5.2, for B0…B7: its own resolution, of which evaluation crops away 16 pixels on each side."""
    size = SCALES[scale][2]
    return imagenet_90.replace(
        epochs=350,
        optimizer="rmsprop_tf",
        lr=0.016,
        lr_batch_size=256,
        momentum=0.9,
        square_momentum=0.9,
        optimizer_eps=1e-3,
        weight_decay=1e-5,
        schedule="cosine",
        warmup_steps=25_000,
        size=size,
        crop_share=size / (size + 32),
        interpolation="bicubic",
        auto_augment="trivial",
        label_smoothing=0.1,
        ema_decay=0.9999,
    )


class EfficientNet(DepthwiseStages):
    """B0…B7 (``scale``); levels 1…5, of B0 with 16, 24, 40, 112 and 320 channels.

    ``like="tensorflow"`` makes the ``tf_`` form, ``"timm"`` gives B5–B7 the eps of timm's own training, 1e-5. Other
    ``options`` are those of :class:`~baimu.backbones.depthwise.DepthwiseStages`.
    """

    def __init__(
        self,
        scale: int,
        *,
        norm: Norm = batch_norm,
        act: Act = nn.SiLU,
        drop_path: float = 0.2,
        like: Like = "torchvision",
        **options: Any,
    ) -> None:
        width, depth, _, dropout = SCALES[scale]
        if scale >= 5 and like == "torchvision":
            norm = with_numbers(norm, eps=1e-3, momentum=0.01)
        stem = rounded(32 * width)
        table = scaled(B0, stem, act, width=width, depth=depth, squeeze=0.25)
        make = partial(InvertedResidual, squeeze=partial(SqueezeExcite, act=act))
        super().__init__(stem, table, make, norm=norm, act=act, drop_path=drop_path, like=like, **options)
        self.dropout, self.last, self.act = dropout, rounded(1280 * width), act

    def make_head(self, num_classes: int, dropout: float) -> ConvHead:
        return ConvHead(self.channels[-1], num_classes, dropout, width=self.last, norm=self.norm, act=self.act)


@backbone(paper="1905.11946", recipe=recipe(0), reported={"top1": 77.69})
def efficientnet_b0(**options: Any) -> EfficientNet:
    """EfficientNet-B0: 3.6 M parameters without a classifier."""
    return EfficientNet(0, **options)


@backbone(paper="1905.11946", recipe=recipe(1), reported={"top1": 78.64})
def efficientnet_b1(**options: Any) -> EfficientNet:
    """EfficientNet-B1: 6.1 M parameters without a classifier."""
    return EfficientNet(1, **options)


@backbone(paper="1905.11946", recipe=recipe(2), reported={"top1": 80.61})
def efficientnet_b2(**options: Any) -> EfficientNet:
    """EfficientNet-B2: 7.2 M parameters without a classifier."""
    return EfficientNet(2, **options)


@backbone(paper="1905.11946", recipe=recipe(3), reported={"top1": 82.01})
def efficientnet_b3(**options: Any) -> EfficientNet:
    """EfficientNet-B3: 10.1 M parameters without a classifier."""
    return EfficientNet(3, **options)


@backbone(paper="1905.11946", recipe=recipe(4), reported={"top1": 83.38})
def efficientnet_b4(**options: Any) -> EfficientNet:
    """EfficientNet-B4: 16.7 M parameters without a classifier."""
    return EfficientNet(4, **options)


@backbone(paper="1905.11946", recipe=recipe(5), reported={"top1": 83.44})
def efficientnet_b5(**options: Any) -> EfficientNet:
    """EfficientNet-B5: 27.3 M parameters without a classifier."""
    return EfficientNet(5, **options)


@backbone(paper="1905.11946", recipe=recipe(6), reported={"top1": 84.01})
def efficientnet_b6(**options: Any) -> EfficientNet:
    """EfficientNet-B6: 39.4 M parameters without a classifier."""
    return EfficientNet(6, **options)


@backbone(paper="1905.11946", recipe=recipe(7), reported={"top1": 84.12})
def efficientnet_b7(**options: Any) -> EfficientNet:
    """EfficientNet-B7: 62.1 M parameters without a classifier."""
    return EfficientNet(7, **options)


@backbone(paper="1905.11946", recipe=recipe(0), reported={"top1": 77.1})
def tf_efficientnet_b0(**options: Any) -> EfficientNet:
    """EfficientNet-B0 with the padding and norm of TensorFlow: 3.6 M parameters without a classifier."""
    return EfficientNet(0, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(1), reported={"top1": 79.1})
def tf_efficientnet_b1(**options: Any) -> EfficientNet:
    """EfficientNet-B1 with the padding and norm of TensorFlow: 6.1 M parameters without a classifier."""
    return EfficientNet(1, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(2), reported={"top1": 80.1})
def tf_efficientnet_b2(**options: Any) -> EfficientNet:
    """EfficientNet-B2 with the padding and norm of TensorFlow: 7.2 M parameters without a classifier."""
    return EfficientNet(2, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(3), reported={"top1": 81.6})
def tf_efficientnet_b3(**options: Any) -> EfficientNet:
    """EfficientNet-B3 with the padding and norm of TensorFlow: 10.1 M parameters without a classifier."""
    return EfficientNet(3, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(4), reported={"top1": 82.9})
def tf_efficientnet_b4(**options: Any) -> EfficientNet:
    """EfficientNet-B4 with the padding and norm of TensorFlow: 16.7 M parameters without a classifier."""
    return EfficientNet(4, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(5), reported={"top1": 83.6})
def tf_efficientnet_b5(**options: Any) -> EfficientNet:
    """EfficientNet-B5 with the padding and norm of TensorFlow: 27.3 M parameters without a classifier."""
    return EfficientNet(5, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(6), reported={"top1": 84.0})
def tf_efficientnet_b6(**options: Any) -> EfficientNet:
    """EfficientNet-B6 with the padding and norm of TensorFlow: 39.4 M parameters without a classifier."""
    return EfficientNet(6, like="tensorflow", **options)


@backbone(paper="1905.11946", recipe=recipe(7), reported={"top1": 84.3})
def tf_efficientnet_b7(**options: Any) -> EfficientNet:
    """EfficientNet-B7 with the padding and norm of TensorFlow: 62.1 M parameters without a classifier."""
    return EfficientNet(7, like="tensorflow", **options)
