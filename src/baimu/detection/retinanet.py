"""Focal Loss for Dense Object Detection (Lin, Goyal, Girshick, He, Dollár 2017), arXiv 1708.02002.

One network predicts a class and a box for each of ~100,000 anchors; the focal loss keeps the flood of easy background
from drowning the few objects.

B images, L levels P3…P7, P anchors (of a level, or of all), K classes, M objects (padded), N candidates.

Differences:

=====================  ===========================  ===============================  ==============================
what                   paper                        here (and mmdetection)           torchvision 0.29
=====================  ===========================  ===============================  ==============================
box loss               smooth L1, beta 1/9          L1 (``box_loss=``)               L1
normaliser             anchors assigned             sum over images of max(1, pos)   mean over images of 1/max(1, pos)
low-quality matches    none stated                  every object takes all its ties  the tied anchor's own best object
P6                     3x3/2 on C5                  the same                         on P5 (first weights: on C5)
P7                     3x3/2 on ReLU(P6)            the same; mmdetection without    the same
                                                    the ReLU (``p7_relu=False``)
anchor corners         exact                        exact, centred at index*stride   rounded to integers
=====================  ===========================  ===============================  ==============================

Reported: box AP 36.5 (ResNet-50, 1x), 38.5 (ResNet-101, 1x) on COCO val2017, mmdetection 3.3.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baimu.assign.max_iou import IGNORE, max_iou_assign
from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.dense import best_pairs, flatten_map, join_levels, take
from baimu.detection.detector import Candidates, Detector
from baimu.errors import unknown
from baimu.layers.anchors import AnchorGrid
from baimu.layers.contracts import Backbone, Neck, check_pyramid
from baimu.layers.conv import conv_tower, init_normal
from baimu.layers.norm import Norm, batch_norm, frozen_batch_norm, group_norm
from baimu.losses.boxes import l1_loss
from baimu.losses.focal import sigmoid_focal_loss
from baimu.necks.fpn import FPN
from baimu.ops.boxes import decode_deltas, encode_deltas
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import Nms, multiclass_nms
from baimu.ops.priors import base_anchors
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
RATIOS = (0.5, 1.0, 2.0)
"""Sizes of a level's anchors, in thirds of an octave, and height over width (§4)."""


class RetinaNetOutput(NamedTuple):
    """Raw predictions, one entry a level."""

    logits: list[Tensor]  # (B, P, K)
    deltas: list[Tensor]  # (B, P, 4)
    anchors: list[Tensor]  # (P, 4) xyxy pixels


class RetinaHead(nn.Module):
    """Two towers of 3x3 convolutions, shared by levels, not by tasks (§4). Its bias starts at a 1 % prior (§3.3)."""

    def __init__(
        self, channels: int, anchors: int, num_classes: int, *, depth: int = 4, norm: Norm | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_tower = conv_tower(channels, depth, norm=norm)
        self.box_tower = conv_tower(channels, depth, norm=norm)
        self.classify = nn.Conv2d(channels, anchors * num_classes, 3, padding=1)
        self.regress = nn.Conv2d(channels, anchors * 4, 3, padding=1)
        init_normal(self.classify, bias=-math.log((1 - 0.01) / 0.01))
        init_normal(self.regress)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, C, H, W) → logits (B, P, K) and deltas (B, P, 4) of each level."""
        logits = [flatten_map(self.classify(self.class_tower(x)), self.num_classes) for x in maps]
        deltas = [flatten_map(self.regress(self.box_tower(x)), 4) for x in maps]
        return logits, deltas


class RetinaNet(Detector):
    """The detector on any backbone and neck; the defaults are the paper's, at COCO's 80 classes."""

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: nn.Module | None = None,
        anchors: AnchorGrid | None = None,
        cls_loss: Callable[[Tensor, Tensor], Tensor] = sigmoid_focal_loss,
        box_loss: Callable[[Tensor, Tensor], Tensor] = l1_loss,
        score_threshold: float = 0.05,
        candidates: int = 1000,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        nms: Nms = multiclass_nms,
    ) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=iou_threshold, max_detections=max_detections, nms=nms)
        check_pyramid(neck, "RetinaNet")
        base = [base_anchors(4 * stride, OCTAVES, RATIOS) for stride in neck.strides]
        self.backbone, self.neck = backbone, neck
        self.anchors = anchors or AnchorGrid(base, neck.strides)
        self.head = head or RetinaHead(neck.channels[0], self.anchors.anchors_per_cell, num_classes)
        self.cls_loss, self.box_loss = cls_loss, box_loss
        self.score_threshold, self.candidates = score_threshold, candidates

    def forward(self, images: Tensor) -> RetinaNetOutput:
        """Normalised images (B, 3, H, W) → raw predictions."""
        maps = self.neck(self.backbone(images))
        logits, deltas = self.head(maps)
        return RetinaNetOutput(logits, deltas, self.anchors(maps))

    def assign(self, anchors: Tensor, targets: Targets) -> Tensor:
        """IoU >= 0.5 is an object, < 0.4 background, between ignored (§4.1); no object stays without an anchor."""
        return max_iou_assign(anchors, targets, positive=0.5, negative=0.4, low_quality="object")

    def loss(self, outputs: RetinaNetOutput, targets: Targets) -> dict[str, Tensor]:
        """Focal loss over all anchors not ignored and L1 over positives, both over the number of positives."""
        anchors = torch.cat(outputs.anchors)
        index = self.assign(anchors, targets)
        normalizer = reduce_mean((index >= 0).sum(1).clamp(min=1).sum().float())

        classes = targets.labels.gather(1, index.clamp(min=0)).masked_fill(index < 0, -1)
        per_level = [a.shape[0] for a in outputs.anchors]
        cls = torch.zeros((), device=anchors.device)
        for logits, label, chosen in zip(
            outputs.logits, classes.split(per_level, 1), index.split(per_level, 1), strict=True
        ):
            target = label[..., None] == torch.arange(self.num_classes, device=label.device)
            cls = cls + (self.cls_loss(logits, target).sum(-1) * (chosen != IGNORE)).sum()

        image, anchor = (index >= 0).nonzero(as_tuple=True)
        matched = targets.boxes[image, index[image, anchor]]
        deltas = torch.cat(outputs.deltas, 1)[image, anchor]
        box = self.box_loss(deltas, encode_deltas(anchors[anchor], matched)).sum()
        return {"cls": cls / normalizer, "box": box / normalizer}

    def decode(self, outputs: RetinaNetOutput, sizes: Tensor) -> Candidates:
        """The best ``candidates`` (anchor, class) pairs of each level (§4.1 Inference), N = at most 5 of those."""
        boxes, scores, labels = [], [], []
        for logits, deltas, anchors in zip(*outputs, strict=True):
            best, anchor, label = best_pairs(logits, self.candidates)
            score = best.float().sigmoid()
            scores.append(score.masked_fill(score <= self.score_threshold, 0))
            boxes.append(decode_deltas(anchors[anchor], take(deltas, anchor)))
            labels.append(label)
        return join_levels(boxes, scores, labels, sizes)


def rounded_anchors(strides: tuple[int, ...]) -> list[Tensor]:
    """torchvision's base anchors (9, 4) of each level: sizes are cut, and corners rounded, to whole pixels."""
    sizes = [[float(int(4 * stride * octave)) for octave in OCTAVES] for stride in strides]
    return [base_anchors(1.0, scales, RATIOS).round() for scales in sizes]


def retinanet(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    p7_relu: bool = True,
    stride_in_3x3: bool = True,
    like: str = "mmdetection",
    **options,
) -> RetinaNet:
    """RetinaNet on a ResNet. ``scratch`` is for training without ImageNet weights: batch norm learns, in the neck too
    (1811.08883), and nothing is frozen. The head has group norm: its towers serve all levels, whose statistics differ,
    so that the running ones of a batch norm would fit none of them. Weights of other libraries need
    ``like="torchvision"`` (P6 on P5, rounded anchors, 300 detections) or ``stride_in_3x3=False`` (Caffe style)."""
    if like not in ("mmdetection", "torchvision"):
        raise unknown("definitions to be like", like, ("mmdetection", "torchvision"))
    norm = batch_norm if scratch else None
    backbone = build(
        out=(3, 4, 5),
        norm=norm or frozen_batch_norm,
        frozen_stages=0 if scratch else 2,
        stride_in_3x3=stride_in_3x3,
    )
    extra_from = "output" if like == "torchvision" else "input"
    neck = FPN(backbone, 256, extra=2, extra_from=extra_from, relu_before_extra=p7_relu, norm=norm)
    if like == "torchvision":
        anchors = AnchorGrid(rounded_anchors(neck.strides), neck.strides)
        options = {"anchors": anchors, "max_detections": 300} | options
    head = RetinaHead(256, 9, num_classes, norm=group_norm if scratch else None)
    return RetinaNet(backbone, neck, num_classes=num_classes, head=head, **options)


recipe = coco_1x.replace(lr=0.01)


@model("retinanet_r18_fpn", task="detection", paper="1708.02002", recipe=recipe, reported={"box_ap": 31.7})
def retinanet_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> RetinaNet:
    """RetinaNet with ResNet-18 and FPN P3–P7."""
    return retinanet(resnet18, num_classes, scratch, **options)


@model("retinanet_r50_fpn", task="detection", paper="1708.02002", recipe=recipe, reported={"box_ap": 36.5})
def retinanet_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> RetinaNet:
    """RetinaNet with ResNet-50 and FPN P3–P7."""
    return retinanet(resnet50, num_classes, scratch, **options)


@model("retinanet_r101_fpn", task="detection", paper="1708.02002", recipe=recipe, reported={"box_ap": 38.5})
def retinanet_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> RetinaNet:
    """RetinaNet with ResNet-101 and FPN P3–P7."""
    return retinanet(resnet101, num_classes, scratch, **options)
