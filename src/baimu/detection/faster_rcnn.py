"""Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks (Ren, He, Girshick, Sun 2015),
arXiv 1506.01497, in the form of Feature Pyramid Networks, arXiv 1612.03144.

A small dense network proposes boxes; the features under each proposal are pooled to 7 x 7, classified and refined.

B images, L levels P2…P6, P anchors (of all levels), R proposals (padded), S sampled RoIs, K classes, M objects.

Differences:

=====================  =========================  ==============================  ===============================
what                   paper                      here (and mmdetection)          torchvision 0.29
=====================  =========================  ==============================  ===============================
RPN class              softmax over 2             sigmoid of 1                    sigmoid of 1
RPN box loss           smooth L1                  L1 (``box_loss=``)              smooth L1, beta 1/9
RPN normaliser         256 and anchors / 10       sampled anchors, both losses    the same
low-quality matches    the best anchor(s)         every object takes all ties     the tied anchor's own best object
proposals, training    2000                       1000 (2000 a level before NMS)  2000
RoI pooling            RoI pool                   RoI align, half cell shift,     RoI align, no shift,
                                                  as many points as cells         2 points
RoI box loss           smooth L1                  L1                              smooth L1, beta 1/9
frozen                 conv1, conv2               stem and C2, batch norm         the same
=====================  =========================  ==============================  ===============================

Reported: box AP 37.4 (ResNet-50, 1x), 39.4 (ResNet-101, 1x) on COCO val2017, mmdetection 3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.assign.max_iou import IGNORE, max_iou_assign
from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.dense import flatten_map, join_levels, take
from baimu.detection.detector import Candidates, Detector
from baimu.layers.anchors import AnchorGrid
from baimu.layers.contracts import Backbone, Neck, check_pyramid
from baimu.layers.conv import ConvNorm, init_normal
from baimu.layers.norm import batch_norm, frozen_batch_norm
from baimu.losses.boxes import l1_loss
from baimu.losses.classification import binary_cross_entropy_loss, cross_entropy_loss
from baimu.necks.fpn import FPN
from baimu.ops.boxes import clip_boxes, decode_deltas, encode_deltas
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import Detected, Nms, keep_best, multiclass_nms
from baimu.ops.priors import base_anchors
from baimu.ops.roi import roi_align, roi_levels
from baimu.recipes import coco_1x
from baimu.sample.random import Sampled, Sampler, sample_random
from baimu.targets import Targets
from baimu.zoo import model

STDS = (0.1, 0.1, 0.2, 0.2)
"""Deviation of the second stage's deltas, which are small: the proposals are near."""


class Proposals(NamedTuple):
    """First stage's answer, best first; boxes are zero where not ``valid``."""

    boxes: Tensor  # (B, R, 4) xyxy pixels, clipped to the image
    valid: Tensor  # (B, R)


class FasterRCNNOutput(NamedTuple):
    """Raw predictions of both stages."""

    rpn_logits: list[Tensor]  # (B, P) a level
    rpn_deltas: list[Tensor]  # (B, P, 4)
    anchors: list[Tensor]  # (P, 4)
    proposals: Proposals
    logits: Tensor  # (B, R, K + 1), background last
    deltas: Tensor  # (B, R, K, 4)


class RPNHead(nn.Module):
    """Objectness and deltas of every anchor: 3x3 ReLU, then two 1x1 (1506.01497 §3.1)."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.regress = nn.Conv2d(channels, anchors * 4, 1)
        init_normal(self)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, C, H, W) → logits (B, P) and deltas (B, P, 4) of each level."""
        hidden = [self.conv(x) for x in maps]
        logits = [flatten_map(self.objectness(x), 1)[..., 0] for x in hidden]
        return logits, [flatten_map(self.regress(x), 4) for x in hidden]


class BoxHead(nn.Module):
    """Two fully connected layers of 1024 on 7 x 7 RoI features, class scores and a box a class (1612.03144 §4.2)."""

    def __init__(self, channels: int, num_classes: int, *, pool: int = 7, hidden: int = 1024) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * pool**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.classify = nn.Linear(hidden, num_classes + 1)
        self.regress = nn.Linear(hidden, num_classes * 4)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        init_normal(self.classify)
        init_normal(self.regress, std=0.001)

    def forward(self, features: Float[Tensor, "b r c s s"]) -> tuple[Tensor, Tensor]:
        """RoI features → logits (B, R, K + 1) and deltas (B, R, K, 4)."""
        x = F.relu_(self.fc2(F.relu_(self.fc1(features.flatten(2)))))
        return self.classify(x), self.regress(x).unflatten(2, (-1, 4))


class FasterRCNN(Detector):
    """The detector on any backbone and neck. The neck's last level, if any lies beyond ``roi_levels``, only proposes.

    ``proposals`` are (a level before NMS, an image after it), in training and at inference.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: nn.Module | None = None,
        anchors: AnchorGrid | None = None,
        rpn_sampler: Sampler = partial(sample_random, count=256, positive_share=0.5),
        roi_sampler: Sampler = partial(sample_random, count=512, positive_share=0.25),
        pool: Callable[..., Tensor] = roi_align,
        box_loss: Callable[[Tensor, Tensor], Tensor] = l1_loss,
        train_proposals: tuple[int, int] = (2000, 1000),
        test_proposals: tuple[int, int] = (1000, 1000),
        max_detections: int = 100,
        nms: Nms = multiclass_nms,
    ) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=0.5, max_detections=max_detections, nms=nms)
        check_pyramid(neck, "FasterRCNN")
        base = [base_anchors(8 * stride, (1.0,), (0.5, 1.0, 2.0)) for stride in neck.strides]
        self.backbone, self.neck = backbone, neck
        self.anchors = anchors or AnchorGrid(base, neck.strides)
        self.rpn = RPNHead(neck.channels[0], self.anchors.anchors_per_cell)
        self.head = head or BoxHead(neck.channels[0], num_classes)
        self.rpn_sampler, self.roi_sampler, self.pool, self.box_loss = rpn_sampler, roi_sampler, pool, box_loss
        self.train_proposals, self.test_proposals = train_proposals, test_proposals
        self.roi_levels = min(4, len(neck.strides))
        self.rpn_iou_threshold, self.score_threshold = 0.7, 0.05

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> FasterRCNNOutput:
        """Normalised images (B, 3, H, W), valid ``sizes`` (B, 2; default all) → raw predictions of both stages."""
        if sizes is None:
            sizes = images.new_tensor([images.shape[2:]] * images.shape[0], dtype=torch.int64)
        maps = self.neck(self.backbone(images))
        logits, deltas = self.rpn(maps)
        anchors = self.anchors(maps)
        proposals = self.propose(logits, deltas, anchors, sizes, self.test_proposals)
        scores = self.head(self.pool_rois(maps, proposals.boxes))
        return FasterRCNNOutput(logits, deltas, anchors, proposals, *scores)

    def pool_rois(self, maps: list[Tensor], boxes: Tensor) -> Tensor:
        """Features (B, R, C, 7, 7) of each box from the level that fits its size (1612.03144 Eq. 1)."""
        levels = roi_levels(boxes, self.roi_levels)
        return self.pool(maps[: self.roi_levels], boxes, levels, self.neck.strides[: self.roi_levels], 7)

    @torch.no_grad()
    def propose(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], sizes: Tensor, limits: tuple[int, int]
    ) -> Proposals:
        """The best of each level, decoded, clipped, NMS at 0.7 within the level, then the best overall."""
        per_level, total = limits
        boxes, scores, levels = [], [], []
        for level, (objectness, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
            best, index = objectness.topk(min(per_level, objectness.shape[1]))
            boxes.append(decode_deltas(anchor[index], take(delta, index)))
            scores.append(best.float().sigmoid())
            levels.append(torch.full_like(index, level))
        box = clip_boxes(torch.cat(boxes, 1), sizes)
        side = box[..., 2:] - box[..., :2]
        score = torch.cat(scores, 1).masked_fill((side <= 0).any(-1), 0)
        score = keep_best(box, score, torch.cat(levels, 1), self.rpn_iou_threshold)
        score, index = score.topk(min(total, score.shape[1]))
        valid = score > 0
        return Proposals(take(box, index).masked_fill(~valid[..., None], 0), valid)

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Both stages' losses in one pass; proposals and the choice of RoIs take no gradient."""
        maps = self.neck(self.backbone(images))
        logits, deltas = self.rpn(maps)
        anchors = self.anchors(maps)
        proposals = self.propose(logits, deltas, anchors, targets.sizes, self.train_proposals)
        return self.rpn_loss(logits, deltas, anchors, targets) | self.roi_loss(maps, proposals, targets)

    def rpn_loss(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], targets: Targets
    ) -> dict[str, Tensor]:
        """BCE and L1 over sampled anchors, both over the number sampled (1506.01497 Eq. 1)."""
        anchor = torch.cat(anchors)
        assigned = max_iou_assign(anchor, targets, positive=0.7, negative=0.3, low_quality="object", min_positive=0.3)
        sampled = self.rpn_sampler(assigned)
        count = reduce_mean(sampled.valid.sum().float()).clamp(min=1)
        logit = torch.cat(logits, 1).gather(1, sampled.index)
        cls = binary_cross_entropy_loss(logit, sampled.positive.float()) * sampled.valid
        image, index, owner = _positives(sampled, assigned)
        target = encode_deltas(anchor[index], targets.boxes[image, owner])
        box = self.box_loss(torch.cat(deltas, 1)[image, index], target)
        return {"rpn_cls": cls.sum() / count, "rpn_box": box.sum() / count}

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Cross entropy over sampled RoIs and L1 on the true class's box, both over the number sampled."""
        with torch.no_grad():  # the objects themselves are proposals too: early on nothing else overlaps them
            boxes = torch.cat([targets.boxes, proposals.boxes], 1)
            valid = torch.cat([targets.valid, proposals.valid], 1)
            assigned = max_iou_assign(boxes, targets, positive=0.5, negative=0.5).masked_fill(~valid, IGNORE)
            sampled = self.roi_sampler(assigned)
            rois = take(boxes, sampled.index)
        logits, deltas = self.head(self.pool_rois(maps, rois))
        count = reduce_mean(sampled.valid.sum().float()).clamp(min=1)
        owner = assigned.gather(1, sampled.index).clamp(min=0)
        label = targets.labels.gather(1, owner).masked_fill(~sampled.positive, self.num_classes)
        cls = cross_entropy_loss(logits.flatten(0, 1), label.flatten()) * sampled.valid.flatten()

        image, place = sampled.positive.nonzero(as_tuple=True)
        target = encode_deltas(rois[image, place], targets.boxes[image, owner[image, place]], STDS)
        box = self.box_loss(deltas[image, place, label[image, place]], target)
        return {"cls": cls.sum() / count, "box": box.sum() / count}

    def decode(self, outputs: FasterRCNNOutput, sizes: Tensor) -> Candidates:
        """Every (proposal, class) pair, N = R * K, with the class's own box."""
        scores = outputs.logits.float().softmax(-1)[..., :-1] * outputs.proposals.valid[..., None]
        boxes = decode_deltas(outputs.proposals.boxes[:, :, None], outputs.deltas, STDS)
        labels = torch.arange(self.num_classes, device=scores.device).expand(scores.shape)
        scores = scores.masked_fill(scores <= self.score_threshold, 0)
        return join_levels([boxes.flatten(1, 2)], [scores.flatten(1)], [labels.flatten(1)], sizes)

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detected:
        """As :meth:`Detector.detect`; proposals too are clipped to ``sizes``."""
        if sizes is None:
            sizes = images.new_tensor([images.shape[2:]] * images.shape[0], dtype=torch.int64)
        return self.nms(*self.decode(self(images, sizes), sizes), self.iou_threshold, self.max_detections)


def _positives(sampled: Sampled, assigned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Image, prior and object of every positive sample."""
    image, place = sampled.positive.nonzero(as_tuple=True)
    index = sampled.index[image, place]
    return image, index, assigned[image, index]


def faster_rcnn(build: Callable[..., ResNet], num_classes: int, scratch: bool, **options) -> FasterRCNN:
    """Faster R-CNN on a ResNet. ``scratch`` is for training without ImageNet weights: batch norm learns, in the neck
    too (1811.08883), and nothing is frozen."""
    norm = batch_norm if scratch else None
    backbone = build(norm=norm or frozen_batch_norm, frozen_stages=0 if scratch else 2)
    return FasterRCNN(backbone, FPN(backbone, 256, extra=1, norm=norm), num_classes=num_classes, **options)


@model("faster_rcnn_r18_fpn", task="detection", paper="1506.01497", recipe=coco_1x)
def faster_rcnn_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FasterRCNN:
    """Faster R-CNN with ResNet-18 and FPN P2–P6."""
    return faster_rcnn(resnet18, num_classes, scratch, **options)


@model("faster_rcnn_r50_fpn", task="detection", paper="1506.01497", recipe=coco_1x, reported={"box_ap": 37.4})
def faster_rcnn_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FasterRCNN:
    """Faster R-CNN with ResNet-50 and FPN P2–P6."""
    return faster_rcnn(resnet50, num_classes, scratch, **options)


@model("faster_rcnn_r101_fpn", task="detection", paper="1506.01497", recipe=coco_1x, reported={"box_ap": 39.4})
def faster_rcnn_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FasterRCNN:
    """Faster R-CNN with ResNet-101 and FPN P2–P6."""
    return faster_rcnn(resnet101, num_classes, scratch, **options)
