"""torchvision's classifiers and detectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from baimu import zoo
from baimu.ops.nms import Detected
from baimu.weights.keys import load_converted
from baimu.weights.torchvision import SOURCE
from tests.parity.peers.filled import fill
from tests.parity.sets import detections_matched

SIZES = ((128, 256), (256, 128))
"""Multiples of 128: elsewhere torchvision's anchors of the coarsest maps are not ``stride`` apart."""
CLASSES, DETECTIONS = 5, 30
AS_IS = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "min_size": 128, "max_size": 256}
"""Its own preprocessing made to do nothing."""
FACTORS = {
    "rpn.head.bbox_pred.weight": 0.1,
    "box_predictor.bbox_pred.weight": 0.3,
    "regression_head.bbox_pred.weight": 0.1,
}
"""Of the weights of last layers, so that boxes stay in the image."""


def classifier(name: str, **options: Any) -> nn.Module:
    """By its own name."""
    return torchvision.models.get_model(name, weights=None, **options)


def detector(name: str) -> str | None:
    """``faster_rcnn_r50_fpn`` is ``fasterrcnn_resnet50_fpn``; its FCOS has the later improvements."""
    theirs = re.sub(r"_r(\d+)_fpn$", r"_resnet\1_fpn", name).replace("_rcnn", "rcnn").replace("_center", "")
    return theirs if theirs in torchvision.models.list_models(torchvision.models.detection) else None


def pair(name: str, theirs: str, **options: Any) -> tuple[Any, Any]:
    """Our detector and theirs with the same parameters, in eval mode; ``options`` are ours."""
    two_stage = "rcnn" in theirs
    limits = (
        {"rpn_post_nms_top_n_train": 150, "rpn_post_nms_top_n_test": 150, "box_detections_per_img": DETECTIONS}
        if two_stage
        else {"detections_per_img": DETECTIONS}
    )
    bare = {"weights": None, "weights_backbone": None, "num_classes": CLASSES + two_stage}
    peer: Any = fill(torchvision.models.get_model(theirs, **bare, **limits, **AS_IS), FACTORS)
    if "fcos" in theirs:  # boxes without area, which we drop, are rare
        nn.init.uniform_(peer.head.regression_head.bbox_reg.bias, 4.0, 6.0)
    route = SOURCE.route(name)
    options = {**route.arguments, "max_detections": DETECTIONS, **options}
    options |= {"train_proposals": (2000, 150), "test_proposals": (1000, 150)} if two_stage else {}
    ours: Any = zoo.create_model(name, num_classes=CLASSES, **options).eval()
    load_converted(ours, peer.state_dict(), route)
    return ours, peer


@torch.no_grad()
def compare(name: str, theirs: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Maps, raw outputs and detections at two sizes."""
    ours, peer = pair(name, theirs)
    for size in SIZES:
        images = torch.randn(2, 3, *size)
        maps = ours.backbone(images)
        yield from (("features", *both) for both in zip(maps, peer.backbone.body(images).values(), strict=True))
        maps, their_maps = ours.neck(maps), list(peer.backbone(images).values())
        yield from (("features", *both) for both in zip(maps, their_maps, strict=True))
        outputs = two_stage_outputs if "rcnn" in theirs else dense_outputs
        yield from (("outputs", *both) for both in outputs(ours, peer, images, their_maps))
        yield from (("predictions", *both) for both in detections(ours.detect(images), peer(list(images)), theirs))


def dense_outputs(ours: Any, peer: Any, images: Tensor, maps: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Every level's rows in one; FCOS's distances are in strides there."""
    found, expected = ours(images), peer.head(maps)
    yield torch.cat(found.logits, 1), expected["cls_logits"]
    if hasattr(found, "centerness"):
        strides = [torch.full((x.shape[2] * x.shape[3], 1), s) for x, s in zip(maps, ours.neck.strides, strict=True)]
        yield torch.cat(found.distances, 1), expected["bbox_regression"] * torch.cat(strides)
        yield torch.cat(found.centerness, 1), expected["bbox_ctrness"][..., 0]
    else:
        yield torch.cat(found.deltas, 1), expected["bbox_regression"]


def two_stage_outputs(ours: Any, peer: Any, images: Tensor, maps: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The first stage's rows; on the same proposals the second's scores, boxes and masks."""
    _, first = ours.first_stage(images)
    logits, deltas = peer.rpn.head(maps)
    for mine, theirs in zip([*first.logits, *first.deltas], [*logits, *deltas], strict=True):
        yield mine, theirs.permute(0, 2, 3, 1).reshape(mine.shape)
    corner = torch.rand(2, 20, 2) * 40
    boxes = torch.cat([corner, corner + 10 + 200 * torch.rand(2, 20, 2) ** 2], 2)  # small ones and large ones
    rois = [list(boxes), [tuple(images.shape[2:])] * 2]
    pyramid = dict(zip(peer.backbone(images), maps, strict=True))
    pooled = peer.roi_heads.box_roi_pool(pyramid, *rois)
    yield ours.pool_rois(maps, boxes).flatten(0, 1), pooled
    scores, deltas = peer.roi_heads.box_predictor(peer.roi_heads.box_head(pooled))
    found = ours.head(ours.pool_rois(maps, boxes))
    yield found[0].flatten(0, 1), scores.roll(-1, 1)  # background last, and no box for it
    yield found[1].flatten(0, 1), deltas.unflatten(1, (-1, 4))[:, 1:]
    if hasattr(ours, "mask_head"):
        heads = peer.roi_heads
        masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(pyramid, *rois)))
        yield ours.mask_head(ours.pool_rois(maps, boxes, 14).flatten(0, 1)), masks[:, 1:]


def detections(found: Detected, expected: list[dict[str, Tensor]], theirs: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Boxes, scores and labels of the pairs that are nearest: of nearly equal score they may change places."""
    first = 1 if "rcnn" in theirs else 0  # background is class 0 there
    for i, of in enumerate(expected):
        count = int(found.counts[i])
        mine = found.boxes[i, :count], found.scores[i, :count], found.labels[i, :count]
        his = of["boxes"], of["scores"], of["labels"] - first
        _, partner = detections_matched(tuple(x.numpy() for x in his), tuple(x.numpy() for x in mine))
        assert count > 5, f"{theirs}: {count} detections are too few to compare"
        yield from ((x[torch.from_numpy(partner)], y) for x, y in zip(mine, his, strict=True))
