"""Every detector learns a handful of scenes by heart: proof that losses, gradients and decoding belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu.datasets.playground import Playground
from baimu.detection.detector import Detector
from baimu.ops.boxes import box_iou
from baimu.ops.masks import mask_iou, paste_masks
from baimu.targets import Targets
from baimu.zoo import create_model, list_models

FEW_ROIS: dict[str, Any] = {
    "roi_sampler": 64,
    "train_proposals": (200, 100),
    "test_proposals": (200, 100),
}
NARROW = FEW_ROIS | {"width": 64, "hidden": 256}
FEW_QUERIES: dict[str, Any] = {
    "level": 4,
    "width": 64,
    "depths": (1, 2),
    "hidden": 128,
    "dropout": 0.0,
    "queries": 8,
}
SMALL = {"faster": FEW_ROIS, "mask": NARROW, "cascade": NARROW, "detr": FEW_QUERIES}
"""Options, by the beginning of a name, with which it learns as well and sooner."""


def scenes(count: int, size: int) -> tuple[Tensor, Targets]:
    """Images uint8 (B, 3, H, W), and their objects, none smaller than an anchor of 32 pixels can answer for."""
    source = Playground(200, size=size, seed=3, objects=(1, 3), empty=0.0)
    objects = [source.objects(i) for i in range(200)]
    large = [i for i, o in enumerate(objects) if (o.boxes[:, 2:] - o.boxes[:, :2]).min() >= 18][:count]
    images = [torch.from_numpy(source.image(i)).permute(2, 0, 1) for i in large]
    boxes = [torch.from_numpy(objects[i].boxes) for i in large]
    labels = [torch.from_numpy(objects[i].labels) for i in large]
    masks = [torch.from_numpy(np.asarray(objects[i].masks)) for i in large]
    return torch.stack(images), Targets.collate(boxes, labels, [(size, size)] * count, masks)


def learn(model: Detector, images: Tensor, targets: Targets, *, steps: int, lr: float) -> list[float]:
    """The total loss of each step of a plain loop."""
    model.train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    course = []
    for _ in range(steps):
        loss = torch.stack(list(model.losses(images, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        course.append(loss.item())
    return course


def found_share(model: Detector, images: Tensor, targets: Targets, *, score: float = 0.3) -> float:
    """Share of the objects that a detection of their class and of at least this score meets with IoU >= 0.5, in boxes
    and, where the model makes them, in masks."""
    found = model.eval().detect(images)
    overlap = box_iou(targets.boxes, found.boxes)
    if found.masks is not None:
        assert targets.masks is not None
        size = images.shape[2], images.shape[3]
        for i, masks in enumerate(targets.masks):
            pasted = paste_masks(found.masks[i], found.boxes[i], size)
            overlap[i, : len(masks)] = overlap[i, : len(masks)].minimum(mask_iou(masks, pasted))
    counts = (targets.labels[:, :, None] == found.labels[:, None]) & (found.scores[:, None] >= score)
    hit = ((overlap * counts).amax(2) >= 0.5) & targets.valid
    return (hit.sum() / targets.valid.sum()).item()


def check_learning(name: str, *, size: int, steps: int, factor: float, **options: Any) -> None:
    torch.manual_seed(0)
    images, targets = scenes(4, size)
    model = create_model(name, num_classes=12, scratch=True, **options).to(memory_format=torch.channels_last)
    assert isinstance(model, Detector)
    images = model.preprocess.normalize(images).contiguous(memory_format=torch.channels_last)
    course = learn(model, images, targets, steps=steps, lr=1e-3)
    assert course[-1] < course[0] / factor, course
    assert found_share(model, images, targets) >= 0.9


@pytest.mark.parametrize(
    ("name", "size", "factor", "options"),
    [
        ("retinanet_r18_fpn", 64, 10, {}),
        ("fcos_r18_fpn", 64, 2.5, {}),  # centre-ness has an entropy that no learning removes
        ("faster_rcnn_r18_fpn", 64, 5, FEW_ROIS),
        ("mask_rcnn_r18_fpn", 96, 4, NARROW),
        ("detr_r18", 64, 5, FEW_QUERIES),
    ],
    ids=["anchors", "points", "two stages", "masks", "queries"],
)
def test_a_detector_of_each_kind_learns_four_scenes_in_seconds(
    name: str, size: int, factor: float, options: dict
) -> None:
    check_learning(name, size=size, steps=60, factor=factor, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models(task="detection") + list_models(task="instance_segmentation"))
def test_every_detector_learns_four_scenes(name: str) -> None:
    options = next((options for start, options in SMALL.items() if name.startswith(start)), {})
    check_learning(name, size=96, steps=100, factor=2.5, **options)
