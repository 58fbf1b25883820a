"""Tiny models and their exported files for the C++ program: ``python -m tests.deploy.cpp_models FOLDER``.

In a process of its own, because the tests check shapes at run time, and a check is part of what TorchScript traces.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from baimu.backbones.stages import Stages
from baimu.classification.classifier import Classifier
from baimu.deploy.export import export
from baimu.detection.faster_rcnn import BoxHead, FasterRCNN
from baimu.detection.fcos import FCOS
from baimu.necks.fpn import FPN
from baimu.preprocess import Preprocess


class Tiny(Stages):
    """Three maps of strides 8, 16 and 32."""

    def __init__(self, out: Sequence[int] = (1, 2, 3)) -> None:
        super().__init__({1: (8, 8), 2: (12, 16), 3: (16, 32)}, out=out)
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 9, 8, 4), nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(12, 16, 3, 2, 1)])

    def parts(self, level: int) -> list[nn.Module]:
        return [self.convs[level - 1], nn.Tanh()]


def _lively(model: Any, gain: float) -> Any:
    """Random weights of another size, so that what the network says depends on the image."""
    torch.manual_seed(4)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=gain / weight[0].numel() ** 0.5)
        elif name.endswith("bias"):
            nn.init.normal_(weight, std=0.5)
    return model.eval()


def fcos() -> Any:
    backbone = Tiny()
    neck = FPN(backbone, 32, extra=2, extra_from="output")
    model = _lively(FCOS(backbone, neck, num_classes=3), 1.5)
    model.classes = ("cat", "dog", 'a "long" größe')
    model.preprocess = Preprocess(size=256, max_size=440)
    return model


def faster_rcnn() -> Any:
    backbone = Tiny()
    neck = FPN(backbone, 32)
    head = BoxHead(32, 3, pool=7, hidden=32)
    model = _lively(FasterRCNN(backbone, neck, num_classes=3, head=head, test_proposals=(40, 30)), 1.5)
    model.classes, model.preprocess = ("a", "b", "c"), Preprocess(size=256, max_size=440)
    return model


def classifier(**changes: Any) -> Any:
    model = _lively(Classifier(Tiny(), num_classes=7), 2.0)
    model.classes, model.preprocess = tuple("abcdefg"), Preprocess(resize="crop", size=48, pad_to=1, **changes)
    return model


def free_classifier() -> Any:
    model = classifier()
    model.preprocess = Preprocess(resize="none", pad_to=1)
    return model


def cubic_classifier() -> Any:
    return classifier(interpolation="bicubic", crop_share=1.0)


def padded_classifier() -> Any:
    model = classifier()
    model.preprocess = Preprocess(resize="none", pad_to=32, mean=(10, 120, 250), channel_order="bgr")
    return model


MAKERS = (fcos, faster_rcnn, classifier, free_classifier, cubic_classifier, padded_classifier)
MODELS = {make.__name__: make for make in MAKERS}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    for name, make in MODELS.items():
        export(make(), folder / f"{name}.torchscript", format="torchscript", verify=False)
    export(fcos(), folder / "raw.torchscript", format="torchscript", raw=True, verify=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
