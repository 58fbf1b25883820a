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

Reported: box AP 37.4 (ResNet-50, 1x), 39.4 (ResNet-101, 1x), 41.2 (ResNeXt-101 32x4d, 1x) on COCO val2017,
mmdetection 3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101, resnext101_32x4d
from baimu.detection.detector import Candidates
from baimu.detection.rpn import Proposals, RPNOutput
from baimu.detection.two_stage import TwoStage, box_losses, class_candidates, definitions, resnet_fpn, sample_rois
from baimu.layers.contracts import Backbone, Neck
from baimu.layers.conv import init_normal
from baimu.ops.boxes import decode_deltas
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model

STDS = (0.1, 0.1, 0.2, 0.2)
"""Deviation of the second stage's deltas, which are small: the proposals are near."""


class FasterRCNNOutput(NamedTuple):
    """Raw predictions of both stages."""

    rpn_logits: list[Tensor]  # (B, P) a level
    rpn_deltas: list[Tensor]  # (B, P, 4)
    anchors: list[Tensor]  # (P, 4)
    proposals: Proposals
    logits: Tensor  # (B, R, K + 1), background last
    deltas: Tensor  # (B, R, K, 4)


class BoxHead(nn.Module):
    """Two fully connected layers of 1024 on 7 x 7 RoI features, class scores and a box a class (1612.03144 §4.2), or
    with ``class_agnostic`` one box for all of them."""

    def __init__(
        self, channels: int, num_classes: int, *, pool: int = 7, hidden: int = 1024, class_agnostic: bool = False
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * pool**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.classify = nn.Linear(hidden, num_classes + 1)
        self.regress = nn.Linear(hidden, 4 if class_agnostic else num_classes * 4)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        init_normal(self.classify)
        init_normal(self.regress, std=0.001)

    def forward(self, features: Float[Tensor, "b r c s s"]) -> tuple[Tensor, Tensor]:
        """RoI features → logits (B, R, K + 1) and deltas (B, R, K or 1, 4)."""
        x = F.relu_(self.fc2(F.relu_(self.fc1(features.flatten(2)))))
        return self.classify(x), self.regress(x).unflatten(2, (-1, 4))


class FasterRCNN(TwoStage):
    """The detector on any backbone and neck; ``options`` are those of
    :class:`~baimu.detection.two_stage.TwoStage`, whose defaults are this method's."""

    def __init__(
        self, backbone: Backbone, neck: Neck, *, num_classes: int = 80, head: nn.Module | None = None, **options
    ) -> None:
        super().__init__(backbone, neck, num_classes=num_classes, **options)
        self.head = head or BoxHead(neck.channels[0], num_classes)

    def judge(self, maps: list[Tensor], first: RPNOutput, proposals: Proposals, sizes: Tensor) -> FasterRCNNOutput:
        """Class scores and boxes of every proposal."""
        return FasterRCNNOutput(*first, proposals, *self.head(self.pool_rois(maps, proposals.boxes)))

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Cross entropy over sampled RoIs and L1 on the true class's box, both over the number sampled."""
        rois = sample_rois(proposals, targets, self.roi_sampler, 0.5)
        logits, deltas = self.head(self.pool_rois(maps, rois.boxes))
        cls, box = box_losses(logits, deltas, rois, targets, STDS, self.box_loss)
        return {"cls": cls, "box": box}

    def decode(self, outputs: FasterRCNNOutput, sizes: Tensor) -> Candidates:
        """Every (proposal, class) pair, N = R * K, with the class's own box."""
        return decode_rois(outputs, self.score_threshold, sizes)


def decode_rois(outputs: FasterRCNNOutput, score_threshold: float, sizes: Tensor) -> Candidates:
    """Softmax scores above the threshold and refined boxes, clipped to ``sizes``."""
    scores = outputs.logits.float().softmax(-1)[..., :-1] * outputs.proposals.valid[..., None]
    boxes = decode_deltas(outputs.proposals.boxes[:, :, None], outputs.deltas, STDS)
    return class_candidates(scores, boxes, score_threshold, sizes)


def faster_rcnn(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    width: int = 256,
    hidden: int = 1024,
    stride_in_3x3: bool = True,
    like: str = "mmdetection",
    **options,
) -> FasterRCNN:
    """Faster R-CNN on a ResNet; ``width`` channels in the pyramid, ``hidden`` units in the box head. Weights of other
    libraries need ``like="torchvision"`` (the last column of the table above) or ``stride_in_3x3=False`` (Caffe
    style)."""
    backbone, neck = resnet_fpn(build, scratch, width, stride_in_3x3=stride_in_3x3)
    head = BoxHead(width, num_classes, hidden=hidden)
    options = definitions(like, neck.strides) | options
    return FasterRCNN(backbone, neck, num_classes=num_classes, head=head, **options)


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


@model("faster_rcnn_x101_32x4d_fpn", task="detection", paper="1506.01497", recipe=coco_1x, reported={"box_ap": 41.2})
def faster_rcnn_x101_32x4d_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> FasterRCNN:
    """Faster R-CNN with ResNeXt-101 32x4d and FPN P2–P6."""
    return faster_rcnn(resnext101_32x4d, num_classes, scratch, **options)
