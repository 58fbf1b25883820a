"""A real detector made small, under a name of the catalogue, so that the verbs can be tested in seconds."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from baimu.datasets.playground import Playground
from baimu.datasets.source import Splits
from baimu.detection.fcos import FCOS, FCOSHead
from baimu.necks.fpn import FPN
from baimu.recipes import Recipe
from baimu.zoo import model

CLASSES = ("disc", "square", "star")
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 4, "workers": 0}


class SmallBackbone(nn.Module):
    """Four strided convolutions."""

    channels, strides = (8, 16), (8, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 8, 2, 2), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 16, 2, 2), nn.BatchNorm2d(16), nn.ReLU())

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.stem(images)
        return [fine, self.deep(fine)]


SMALL = Recipe(
    lr=0.01,
    lr_batch_size=None,
    clip_norm=10.0,
    ema_decay=0.9,
    size=64,
    max_size=64,
    warmup_steps=2,
    channels_last=False,
)


@model("small_fcos", task="detection", paper="1904.01355", recipe=SMALL)
def small_fcos(num_classes: int = 3, *, scratch: bool = False, max_detections: int = 100) -> FCOS:
    """FCOS with 30 thousand parameters."""
    backbone = SmallBackbone()
    neck = FPN(backbone, 32)
    head = FCOSHead(32, num_classes, neck.strides, depth=1)
    ranges = ((-1.0, 24.0), (24.0, 1e9))
    options = {"score_threshold": 0.0, "max_detections": max_detections}  # so that hardly trained it finds something
    return FCOS(backbone, neck, num_classes=num_classes, head=head, ranges=ranges, **options)


def small_data(train: int = 10, val: int = 5) -> Splits:
    """Scenes of 64 pixels with three classes; some hold no object."""
    scenes = [Playground(n, 64, seed, classes=CLASSES, empty=0.3) for seed, n in enumerate((train, val))]
    return Splits(*scenes)
