"""FCOS: Fully Convolutional One-Stage Object Detection (Tian, Shen, Chen, He 2019), arXiv 1904.01355.

No anchors: every point of the pyramid that lies in a box predicts the distances to its four sides; centre-ness
lowers the score of points far from the middle, whose boxes are poor.

B images, L levels P3…P7, P points (of a level, or of all), K classes, M objects (padded), N candidates.

``fcos_*`` is the paper's main table; ``fcos_center_*`` its improvements of §3.3 and the authors' later code: centre
sampling, distances in strides with ReLU, centre-ness on the box tower, GIoU loss, NMS at 0.6.

Differences:

=====================  =====================  ===============================  =====================================
what                   paper                  here (and mmdetection)           torchvision 0.29
=====================  =====================  ===============================  =====================================
box loss weight        centre-ness            centre-ness target               none
box normaliser         sum of centre-ness     sum of centre-ness               positives
score                  cls * centre-ness      cls * centre-ness, after the     sqrt(cls * centre-ness), threshold 0.2
                                              0.05 threshold on cls
level ranges           ends included          ends included                    ends left out
points                 cell centres           cell centres                     cell corners (index * stride)
per-level scale        learned                learned                          none
box bias at the start  0                      0; 1 with ReLU, else whole sides  0
                                              may never get a gradient
=====================  =====================  ===============================  =====================================

Reported: box AP 36.6 (ResNet-50, 1x), 38.7 with the improvements, on COCO val2017, mmdetection 3.3.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.assign.points import point_assign
from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.dense import best_pairs, flatten_map, join_levels, take
from baimu.detection.detector import Candidates, Detector
from baimu.errors import unknown
from baimu.layers.contracts import Backbone, Neck, check_pyramid
from baimu.layers.conv import conv_tower, init_normal
from baimu.layers.norm import Norm, batch_norm, frozen_batch_norm, group_norm
from baimu.losses.boxes import giou_loss, iou_loss
from baimu.losses.classification import binary_cross_entropy_loss
from baimu.losses.focal import sigmoid_focal_loss
from baimu.necks.fpn import FPN
from baimu.ops.boxes import decode_distances, encode_distances
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import Nms, multiclass_nms
from baimu.ops.priors import grid_points
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model

RANGES = ((-1.0, 64.0), (64.0, 128.0), (128.0, 256.0), (256.0, 512.0), (512.0, math.inf))
"""Longest side distance, in pixels, that each level P3…P7 answers for (§3.2)."""


def centerness(distances: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``: 1 in the middle of a box, 0 on its border (Eq. 3)."""
    horizontal, vertical = distances[..., [0, 2]], distances[..., [1, 3]]
    near = horizontal.amin(-1) * vertical.amin(-1)
    far = horizontal.amax(-1) * vertical.amax(-1)
    return (near / far.clamp(min=1e-12)).clamp(min=0).sqrt()


class FCOSOutput(NamedTuple):
    """Raw predictions, one entry a level."""

    logits: list[Tensor]  # (B, P, K)
    distances: list[Tensor]  # (B, P, 4) left, top, right, bottom in pixels, >= 0
    centerness: list[Tensor]  # (B, P) logits
    points: list[Tensor]  # (P, 2) xy pixels


class FCOSHead(nn.Module):
    """Two towers shared by all levels, with group norm, and a learned scale a level (§3.1, §3.2).

    Points lie at ``(index + point_offset) * stride``.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        strides: tuple[int, ...],
        *,
        depth: int = 4,
        norm: Norm = group_norm,
        tower_bias: bool = False,
        improved: bool = False,
        point_offset: float = 0.5,
    ) -> None:
        super().__init__()
        self.num_classes, self.strides, self.improved, self.point_offset = num_classes, strides, improved, point_offset
        self.class_tower = conv_tower(channels, depth, norm=norm, bias=tower_bias)
        self.box_tower = conv_tower(channels, depth, norm=norm, bias=tower_bias)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.regress = nn.Conv2d(channels, 4, 3, padding=1)
        self.center = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ParameterList(torch.ones(()) for _ in strides)
        init_normal(self.classify, bias=-math.log((1 - 0.01) / 0.01))
        init_normal(self.regress, bias=1.0 if improved else 0.0)  # at 0, ReLU would start half of the sides dead
        init_normal(self.center)

    def forward(self, maps: list[Tensor]) -> FCOSOutput:
        """Maps (B, C, H, W) → raw predictions."""
        logits, distances, centers, points = [], [], [], []
        for x, stride, scale in zip(maps, self.strides, self.scales, strict=True):
            classes, box = self.class_tower(x), self.box_tower(x)
            logits.append(flatten_map(self.classify(classes), self.num_classes))
            raw = flatten_map(self.regress(box), 4).float() * scale
            distances.append(raw.relu() * stride if self.improved else raw.exp())
            centers.append(flatten_map(self.center(box if self.improved else classes), 1)[..., 0])
            points.append(grid_points(x.shape[2], x.shape[3], stride, self.point_offset, x.device))
        return FCOSOutput(logits, distances, centers, points)


def best_by_class(
    logits: Float[Tensor, "b p k"], center: Float[Tensor, "b p"], threshold: float, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, points and classes (B, N) of a level's ``limit`` best pairs by class score alone; what passes
    ``threshold`` is then multiplied with its centre-ness, the rest scores 0."""
    best, point, label = best_pairs(logits, limit)
    score = best.float().sigmoid()
    quality = center.gather(1, point).float().sigmoid()
    return (score * quality).masked_fill(score <= threshold, 0), point, label


def best_by_product(
    logits: Float[Tensor, "b p k"], center: Float[Tensor, "b p"], threshold: float, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """torchvision's rule: both choice and ``threshold`` are by the root of class score times centre-ness."""
    scores = (logits.float().sigmoid() * center.float().sigmoid()[..., None]).sqrt()
    best, point, label = best_pairs(scores, limit)
    return best.masked_fill(best <= threshold, 0), point, label


class FCOS(Detector):
    """The detector on any backbone and neck; the defaults are the paper's, at COCO's 80 classes.

    ``center_radius`` is centre sampling's half side in strides, ``None`` for the whole box; ``ranges`` gives each
    level its part of the longest side distance in pixels.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: nn.Module | None = None,
        ranges: tuple[tuple[float, float], ...] = RANGES,
        center_radius: float | None = None,
        cls_loss: Callable[[Tensor, Tensor], Tensor] = sigmoid_focal_loss,
        box_loss: Callable[[Tensor, Tensor], Tensor] = iou_loss,
        choose: Callable[[Tensor, Tensor, float, int], tuple[Tensor, Tensor, Tensor]] = best_by_class,
        score_threshold: float = 0.05,
        candidates: int = 1000,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        nms: Nms = multiclass_nms,
    ) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=iou_threshold, max_detections=max_detections, nms=nms)
        check_pyramid(neck, "FCOS", levels=len(ranges))
        self.backbone, self.neck = backbone, neck
        self.head = head or FCOSHead(neck.channels[0], num_classes, neck.strides)
        self.ranges, self.center_radius = ranges, center_radius
        self.cls_loss, self.box_loss = cls_loss, box_loss
        self.choose, self.score_threshold, self.candidates = choose, score_threshold, candidates

    def forward(self, images: Tensor) -> FCOSOutput:
        """Normalised images (B, 3, H, W) → raw predictions."""
        return self.head(self.neck(self.backbone(images)))

    def assign(self, points: list[Tensor], targets: Targets) -> Tensor:
        """Object index of each point, −1 background (§3.1)."""
        return point_assign(points, targets, strides=self.neck.strides, ranges=self.ranges, radius=self.center_radius)

    def loss(self, outputs: FCOSOutput, targets: Targets) -> dict[str, Tensor]:
        """Focal loss and centre-ness BCE over the number of positives; box loss by and over centre-ness (Eq. 2)."""
        index = self.assign(outputs.points, targets)
        positives = reduce_mean((index >= 0).sum().float()).clamp(min=1)

        logits = torch.cat(outputs.logits, 1)
        labels = targets.labels.gather(1, index.clamp(min=0)).masked_fill(index < 0, -1)
        target = labels[..., None] == torch.arange(self.num_classes, device=labels.device)
        cls = self.cls_loss(logits, target).sum() / positives

        image, point = (index >= 0).nonzero(as_tuple=True)
        points = torch.cat(outputs.points)[point]
        distances = torch.cat(outputs.distances, 1)[image, point]
        matched = targets.boxes[image, index[image, point]]
        quality = centerness(encode_distances(points, matched))
        total_quality = reduce_mean(quality.sum()).clamp(min=1e-6)
        box = (self.box_loss(decode_distances(points, distances), matched) * quality).sum() / total_quality
        center = torch.cat(outputs.centerness, 1)[image, point]
        center = binary_cross_entropy_loss(center, quality).sum() / positives
        return {"cls": cls, "box": box, "center": center}

    def decode(self, outputs: FCOSOutput, sizes: Tensor) -> Candidates:
        """The best ``candidates`` (point, class) pairs of each level, as ``choose`` scores them."""
        boxes, scores, labels = [], [], []
        for logits, distances, center, points in zip(*outputs, strict=True):
            score, point, label = self.choose(logits, center, self.score_threshold, self.candidates)
            scores.append(score)
            boxes.append(decode_distances(points[point], take(distances, point)))
            labels.append(label)
        return join_levels(boxes, scores, labels, sizes)


def fcos(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    improved: bool,
    *,
    width: int = 256,
    depth: int = 4,
    stride_in_3x3: bool = False,
    like: str = "mmdetection",
    **options,
) -> FCOS:
    """FCOS on a ResNet, Caffe style as the paper's weights. ``scratch`` is for training without ImageNet weights:
    batch norm learns, in the neck too, and nothing is frozen. ``width`` and ``depth`` are those of neck and towers.
    Weights of torchvision need ``like="torchvision"``: its points, scores and backbone, RGB."""
    if like not in ("mmdetection", "torchvision"):
        raise unknown("definitions to be like", like, ("mmdetection", "torchvision"))
    theirs = like == "torchvision"
    norm = batch_norm if scratch else None
    backbone = build(
        out=(3, 4, 5),
        norm=norm or frozen_batch_norm,
        frozen_stages=0 if scratch else 2,
        stride_in_3x3=stride_in_3x3 or theirs,
    )
    neck = FPN(backbone, width, extra=2, extra_from="output", relu_before_extra=True, norm=norm)
    offset = 0.0 if theirs else 0.5
    head = FCOSHead(
        width, num_classes, neck.strides, depth=depth, tower_bias=improved, improved=improved, point_offset=offset
    )
    if improved:
        options = {"center_radius": 1.5, "box_loss": giou_loss, "iou_threshold": 0.6, **options}
    if theirs:
        options = {"score_threshold": 0.2, "choose": best_by_product, **options}
    detector = FCOS(backbone, neck, num_classes=num_classes, head=head, **options)
    if not theirs:
        detector.preprocess = detector.preprocess.replace(
            mean=(102.9801, 115.9465, 122.7717), std=(1.0, 1.0, 1.0), channel_order="bgr"
        )
    return detector


recipe = coco_1x.replace(
    lr=0.01, warmup="constant", warmup_start=1 / 3, bias_lr_factor=2.0, bias_decay=False, clip_norm=35.0
)


@model("fcos_r18_fpn", task="detection", paper="1904.01355", recipe=recipe)
def fcos_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with ResNet-18 and FPN P3–P7."""
    return fcos(resnet18, num_classes, scratch, improved=False, **options)


@model("fcos_r50_fpn", task="detection", paper="1904.01355", recipe=recipe, reported={"box_ap": 36.6})
def fcos_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with ResNet-50 and FPN P3–P7."""
    return fcos(resnet50, num_classes, scratch, improved=False, **options)


@model("fcos_r101_fpn", task="detection", paper="1904.01355", recipe=recipe, reported={"box_ap": 39.1})
def fcos_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with ResNet-101 and FPN P3–P7."""
    return fcos(resnet101, num_classes, scratch, improved=False, **options)


@model("fcos_center_r18_fpn", task="detection", paper="1904.01355", recipe=recipe)
def fcos_center_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with centre sampling and the later improvements, ResNet-18 and FPN P3–P7."""
    return fcos(resnet18, num_classes, scratch, improved=True, **options)


@model("fcos_center_r50_fpn", task="detection", paper="1904.01355", recipe=recipe, reported={"box_ap": 38.7})
def fcos_center_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with centre sampling and the later improvements, ResNet-50 and FPN P3–P7."""
    return fcos(resnet50, num_classes, scratch, improved=True, **options)


@model("fcos_center_r101_fpn", task="detection", paper="1904.01355", recipe=recipe)
def fcos_center_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FCOS:
    """FCOS with centre sampling and the later improvements, ResNet-101 and FPN P3–P7."""
    return fcos(resnet101, num_classes, scratch, improved=True, **options)
