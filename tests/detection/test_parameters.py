"""Parameter counts, on the meta device: against mmdetection's, and torchvision's where the networks are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from baimu.layers.norm import FrozenBatchNorm2d
from baimu.zoo import create_model
from tests.parity.golden import header


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(name: str, num_classes: int) -> int:
    with torch.device("meta"):
        return count(create_model(name, num_classes=num_classes))


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("retinanet_r50_fpn", 37.969),
        ("fcos_r50_fpn", 32.295),
        ("faster_rcnn_r50_fpn", 41.753),
        ("mask_rcnn_r50_fpn", 44.396),
        ("cascade_rcnn_r50_fpn", 69.395),
        ("cascade_mask_rcnn_r50_fpn", 77.325),
        ("detr_r50", 41.575),
    ],
)
def test_coco_models_have_the_published_size(name: str, millions: float) -> None:
    assert on_meta(name, 80) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("retinanet_r50_fpn", "retinanet_r50_fpn"),
        ("fcos_r50_fpn", "fcos_r50_gn_head"),
        ("fcos_center_r50_fpn", "fcos_r50_center_normbbox_giou"),
        ("faster_rcnn_r50_fpn", "faster_rcnn_r50_fpn"),
        ("faster_rcnn_x101_32x4d_fpn", "x101_32x4d_faster_rcnn_fpn"),
        ("mask_rcnn_r50_fpn", "mask_rcnn_r50_fpn"),
        ("cascade_rcnn_r50_fpn", "cascade_rcnn_r50_fpn"),
        ("detr_r50", "detr_r50"),
    ],
)
def test_counts_equal_mmdetection_to_the_last_one(name: str, golden: str, shared: Path) -> None:
    meta = header(shared / "goldens" / "mmdet" / f"{golden}.npz")
    assert on_meta(name, meta["num_classes"]) == meta["parameters"]


def test_counts_equal_torchvision_but_for_what_is_known_to_differ() -> None:
    peers = torchvision.models.detection
    makes = (
        peers.retinanet_resnet50_fpn,
        peers.fcos_resnet50_fpn,
        peers.fasterrcnn_resnet50_fpn,
        peers.maskrcnn_resnet50_fpn,
    )
    with torch.device("meta"):
        theirs = [make(weights=None, weights_backbone=None) for make in makes]
    norms = 2 * sum(m.num_features for m in theirs[0].modules() if isinstance(m, nn.BatchNorm2d))
    retinanet, fcos, faster_rcnn, mask_rcnn = map(count, theirs)
    published = (34_014_999, 32_269_600, 41_755_286, 44_401_393)  # theirs counts no frozen norms
    assert (retinanet - norms, fcos - norms, faster_rcnn - norms, mask_rcnn - norms) == published

    p6_on_c5 = (2048 - 256) * 256 * 3 * 3  # theirs reads P5
    assert on_meta("retinanet_r50_fpn", 91) == retinanet + p6_on_c5
    level_scales = 5  # theirs has none
    assert on_meta("fcos_center_r50_fpn", 91) == fcos + level_scales
    background_box = 4 * (1024 + 1)  # theirs has a box for the background too
    assert on_meta("faster_rcnn_r50_fpn", 90) == faster_rcnn - background_box
    background_mask = 256 + 1
    assert on_meta("mask_rcnn_r50_fpn", 90) == mask_rcnn - background_box - background_mask


def test_detr_with_91_classes_has_as_many_as_metas_and_transformers_without_the_frozen_norms() -> None:
    with torch.device("meta"):
        model = create_model("detr_r50", num_classes=91)
    norms = sum(p.numel() for m in model.modules() if isinstance(m, FrozenBatchNorm2d) for p in m.parameters())
    assert count(model) - norms == 41_524_768
    assert on_meta("detr_r50_dc5", 91) == on_meta("detr_r50", 91), "dilation has no parameters"
