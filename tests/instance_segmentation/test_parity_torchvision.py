"""Mask R-CNN equals torchvision's with its parameters, all definitions set to theirs by ``like="torchvision"``."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image

from baimu.instance_segmentation.mask_rcnn import MaskRCNN
from baimu.sample.random import sample_all
from baimu.targets import Targets
from baimu.weights import torchvision as routes
from baimu.weights.keys import load_converted
from baimu.zoo import create_model
from tests.detection.test_contract import ellipses
from tests.detection.test_parity_torchvision import (
    AS_IS,
    BOXES,
    CLASSES,
    HEIGHT,
    LABELS,
    WIDTH,
    EverySample,
    assert_close,
    assert_same_detections,
    assert_same_gradients,
    frozen_norms,
    images,
    prepare,
)

LOSSES = {
    "rpn_cls": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
    "cls": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
}


def masks() -> list[Tensor]:
    return [ellipses(torch.tensor(boxes), (HEIGHT, WIDTH)) for boxes in BOXES]


@pytest.fixture(scope="module")
def models() -> tuple[MaskRCNN, nn.Module]:
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES + 1, "rpn_post_nms_top_n_train": 150}
    peer = torchvision.models.detection.maskrcnn_resnet50_fpn(**options, rpn_post_nms_top_n_test=150, **AS_IS)
    heads = {"rpn.head.cls_logits": 0.05, "cls_score": 0.1, "rpn.head.bbox_pred": 0.01, "mask_fcn_logits": 0.02}
    prepare(peer, spread=heads)
    nn.init.zeros_(peer.roi_heads.mask_predictor.mask_fcn_logits.bias)
    nn.init.normal_(peer.roi_heads.box_predictor.bbox_pred.weight, std=0.02)
    peer.rpn.fg_bg_sampler = peer.roi_heads.fg_bg_sampler = EverySample()
    every = {"rpn_sampler": sample_all, "roi_sampler": sample_all}
    limits = {"train_proposals": (2000, 150), "test_proposals": (1000, 150)}
    ours = create_model("mask_rcnn_r50_fpn", num_classes=CLASSES, like="torchvision", **every, **limits)
    assert isinstance(ours, MaskRCNN)
    ours.requires_grad_(True)
    load_converted(ours, peer.state_dict(), routes.MASK_RCNN)
    return ours.eval(), peer


@torch.no_grad()
def test_the_same_masks_in_the_same_places(models) -> None:
    ours, peer = models
    found, expected = ours.detect(images()), peer(list(images()))
    assert_same_detections(found, expected, first_label=1)
    for i, theirs in enumerate(expected):
        count = int(found.counts[i])
        apart = (found.boxes[i, :count, None] - theirs["boxes"]).abs().amax(-1)
        partner = (apart + 1e6 * (found.labels[i, :count, None] + 1 != theirs["labels"])).argmin(1)
        # their answer is pasted already: ours, pasted by their function into their boxes
        pasted = paste_masks_in_image(found.masks[i, :count, None], theirs["boxes"][partner], (HEIGHT, WIDTH))
        assert_close(pasted, theirs["masks"][partner], 1e-3)


def test_the_same_losses_and_gradients(models) -> None:
    """In float64: of what differs by rounding, a ReLU near 0 would make a gradient that is there or is not."""
    ours, peer = (copy.deepcopy(m).double() for m in models)
    frozen_norms(peer)
    exact = images().double()
    boxes, labels = [torch.tensor(b) for b in BOXES], [torch.tensor(l) for l in LABELS]
    losses = ours.losses(exact, Targets.collate(boxes, labels, [(HEIGHT, WIDTH)] * 2, masks()))
    given = zip(boxes, labels, masks(), strict=True)
    expected = peer(list(exact), [{"boxes": b.double(), "labels": l + 1, "masks": m} for b, l, m in given])
    assert losses.keys() == LOSSES.keys()
    for mine, theirs in LOSSES.items():
        assert losses[mine].item() == pytest.approx(expected[theirs].item(), rel=1e-4), mine
        assert losses[mine].item() > 1e-3, mine
    ours.zero_grad()
    peer.zero_grad()
    sum(losses.values()).backward()
    sum(expected.values()).backward()
    with_background = ("roi_heads.box_predictor", "roi_heads.mask_predictor.mask_fcn_logits")
    assert_same_gradients(ours, peer, routes.MASK_RCNN.table, unlike=with_background)
    last = peer.roi_heads.mask_predictor.mask_fcn_logits
    assert_close(ours.mask_head.predict.weight.grad, last.weight.grad[1:], 1e-3)
