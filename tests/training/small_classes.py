"""A real classifier made small, under a name of the catalogue, and pictures whose colour is their class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from baimu.backbones.stages import Stages
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.idx import ImageStack
from baimu.datasets.labels import LabelSource, labelled, single_labels
from baimu.datasets.source import ClassificationSource, Splits
from baimu.recipes import imagenet_90
from baimu.zoo import backbone

CLASSES = ("red", "green", "blue")
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 4, "workers": 0, "precision": "fp32", "channels_last": False}


class SmallStages(Stages):
    """One level of two convolutions; with ``small_images`` the first has stride 1."""

    def __init__(self, *, small_images: bool = False, out: Sequence[int] = (3,), norm: Any = nn.BatchNorm2d) -> None:
        stride = 1 if small_images else 4
        super().__init__({3: (8, 2 * stride)}, out=out)
        self.small_images = small_images
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 4, stride), norm(8), nn.ReLU(), nn.Conv2d(8, 8, 2, 2), nn.ReLU(), nn.Dropout(0.1)
        )

    def parts(self, level: int) -> list[nn.Module]:
        return [self.layers]


@backbone(paper="1512.03385", recipe=imagenet_90)
def small_net(**options: Any) -> SmallStages:
    """A classifier of a thousand parameters."""
    return SmallStages(**options)


@backbone(paper="1512.03385", recipe=imagenet_90)
def plain_net(norm: Any = nn.BatchNorm2d) -> SmallStages:
    """The same of a family that has no form for small images."""
    return SmallStages(norm=norm)


def colours(count: int, size: int = 16, first: int = 0) -> LabelSource:
    """Noise in which the channel of its class is brighter."""
    pixels = np.random.default_rng(first).integers(0, 120, (count, size, size, 3), np.uint8)
    labels = (np.arange(count) + first) % 3
    pixels[np.arange(count), :, :, labels] += 80
    pictures = ImageStack("colours", pixels, np.arange(count))
    return single_labels(pictures, CLASSES, labels, "colours", ProblemLog())


def mixed_colours(count: int, size: int = 16, first: int = 0) -> LabelSource:
    """Any of the channels brighter, or none; whether blue is, is unknown of every fifth."""
    rng = np.random.default_rng(first)
    pixels = rng.integers(0, 120, (count, size, size, 3), np.uint8)
    has = rng.random((count, 3)) < 0.5
    pixels += (80 * has).astype(np.uint8)[:, None, None]
    unknown = np.zeros((count, 3), bool)
    unknown[::5, 2] = True
    marked = has | unknown
    return labelled(
        ImageStack("colours", pixels, np.arange(count)),
        CLASSES,
        counts=marked.sum(1),
        marks=np.nonzero(marked)[1],
        known=~unknown[marked],
        multi_label=True,
        root="colours",
        log=ProblemLog(),
    )


def small_classes(train: int = 14, val: int = 7, size: int = 16) -> Splits[ClassificationSource]:
    return Splits(colours(train, size), colours(val, size, first=1000))
