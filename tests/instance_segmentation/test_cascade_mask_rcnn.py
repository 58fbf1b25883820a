"""Cascade Mask R-CNN has no reference of its own at hand. Its parts have: with the same parameters its boxes are those
of Cascade R-CNN, which equals mmdetection, and its masks those of Mask R-CNN's branch, which does too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.detection.cascade_rcnn import STAGES, CascadeRCNN
from baimu.instance_segmentation.cascade_mask_rcnn import CascadeMaskRCNN
from baimu.instance_segmentation.mask_rcnn import mask_loss, predict_masks
from baimu.sample.random import sample_all
from baimu.zoo import create_model
from tests.detection.test_contract import make_images, make_targets

SMALL = {"num_classes": 3, "scratch": True, "width": 32, "hidden": 64}
FEW = {"train_proposals": (100, 40), "test_proposals": (100, 40), "rpn_sampler": sample_all, "roi_sampler": sample_all}


@pytest.fixture(scope="module")
def models() -> tuple[CascadeMaskRCNN, CascadeRCNN]:
    torch.manual_seed(0)
    both = create_model("cascade_mask_rcnn_r18_fpn", **SMALL, **FEW)
    boxes = create_model("cascade_rcnn_r18_fpn", **SMALL, **FEW)
    assert isinstance(both, CascadeMaskRCNN)
    assert isinstance(boxes, CascadeRCNN)
    for name, layer in both.named_modules():
        if name.endswith(("classify", "objectness")):
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            nn.init.normal_(layer.weight, std=0.05)
    state = {key: value for key, value in both.state_dict().items() if not key.startswith("mask_head.")}
    boxes.load_state_dict(state)
    both.score_threshold = boxes.score_threshold = 0.0
    return both.eval(), boxes.eval()


def test_boxes_and_their_losses_are_those_of_the_cascade(models) -> None:
    both, boxes = models
    found, expected = both.detect(make_images()), boxes.detect(make_images())
    assert int(found.counts.min()) > 3
    assert all(torch.equal(x, y) for x, y in zip(found[:4], expected[:4], strict=True))
    losses, alone = both.losses(make_images(), make_targets()), boxes.losses(make_images(), make_targets())
    assert losses.keys() - alone.keys() == {"mask1", "mask2", "mask3"}
    for name, loss in alone.items():
        assert torch.equal(losses[name], loss), name


@torch.no_grad()
def test_masks_are_the_mean_of_three_mask_branches_on_the_final_boxes(models) -> None:
    both, _ = models
    found = both.detect(make_images())
    maps, _ = both.first_stage(make_images())
    each = [
        predict_masks([head], lambda boxes: both.pool_rois(maps, boxes, 14), found).masks for head in both.mask_head
    ]
    assert found.masks is not None
    torch.testing.assert_close(found.masks, torch.stack([m for m in each if m is not None]).mean(0))
    assert not torch.allclose(found.masks, each[0]), "the heads differ"


@torch.no_grad()
def test_each_mask_loss_is_the_branchs_on_the_rois_of_its_stage_by_its_weight(models) -> None:
    both, _ = models
    targets = make_targets()
    losses = both.losses(make_images(), targets)
    maps, first = both.first_stage(make_images())
    from baimu.detection.rpn import propose

    proposals = propose(first, targets.sizes, both.train_proposals)
    _, rois_of = both.head.losses(
        lambda boxes: both.pool_rois(maps, boxes), proposals, targets, sample_all, both.box_loss
    )
    assert len(rois_of) == len(STAGES)
    for number, (stage, head, rois) in enumerate(zip(STAGES, both.mask_head, rois_of, strict=True), start=1):
        alone = mask_loss(head, lambda boxes: both.pool_rois(maps, boxes, 14), rois, targets)
        torch.testing.assert_close(losses[f"mask{number}"], stage.weight * alone)
        assert alone > 0.1
