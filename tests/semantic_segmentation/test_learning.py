"""Every kind of segmenter learns the pixels of a few scenes by heart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from baimu.datasets.label_maps import SceneMaps
from baimu.datasets.playground import Playground
from baimu.metrics.segmentation import confusion_of, score_maps
from baimu.targets import MapTargets
from baimu.zoo import create_model

SCENES = SceneMaps(Playground(3, size=64, classes=("disc", "cross")))


def mean_iou(model: Any, images: torch.Tensor) -> float:
    found = model.eval().segment(images).argmax(1).byte().numpy()
    shares = [confusion_of(SCENES.label_map(i), found[i], len(SCENES.classes)) for i in range(len(SCENES))]
    return score_maps(shares, SCENES.classes).figures()["miou"]


def check_learning(name: str, steps: int, **options: Any) -> None:
    torch.manual_seed(0)
    model: Any = create_model(name, num_classes=len(SCENES.classes), **options).train()
    pixels = torch.from_numpy(np.stack([SCENES.image(i) for i in range(len(SCENES))])).movedim(3, 1)
    images = model.preprocess.normalize(pixels)
    labels = torch.from_numpy(np.stack([SCENES.label_map(i) for i in range(len(SCENES))]))
    targets = MapTargets(labels, torch.tensor([[64, 64]] * len(SCENES)))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    before = mean_iou(model, images)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack([*model.losses(images, targets).values()]).sum().backward()
        optimizer.step()
    assert before < 0.4
    assert mean_iou(model, images) > 0.55


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet_r18", "unet", "fcn_r18", "pspnet_r18", "deeplabv3_r18", "deeplabv3plus_r18"])
def test_a_segmenter_of_each_kind_learns(name: str) -> None:
    options = {"unet": {"widths": (8, 16, 16, 32, 32), "dropout": 0.0}}
    check_learning(name, steps=100, **options.get(name, {}))
