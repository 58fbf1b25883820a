"""Cascade R-CNN: Delving into High Quality Object Detection (Cai, Vasconcelos 2017), arXiv 1712.00726.

A box head trained at one IoU is best on proposals of about that IoU. Three heads follow one another: each refines the
boxes of the last and is trained on them with a higher IoU for what counts as found.

B images, P anchors (of all levels), R proposals (padded), S sampled RoIs (padded), K classes, M objects, T stages.

Differences:

=====================  =================================  ======================================
what                   paper                              here (and mmdetection)
=====================  =================================  ======================================
deviation of deltas    measured at each stage (§4.1)      0.1, 0.05, 0.033; twice that for sizes
weights of the stages  not said                           1, 0.5, 0.25
between the stages     refined boxes, sampled anew        the sampled RoIs refined, but for the
                                                          objects' own boxes, which join anew
box of a RoI           one for all classes                the same
box loss               smooth L1                          smooth L1, beta 1; RPN's beta 1/9
anchors that cross     as Faster R-CNN: not trained       not trained
the image's border
proposals, training    not said                           2000
scores                 the stages' mean probability,      softmax of their mean logit, each on its
                       all on the last stage's boxes      own boxes (``average=``)
=====================  =================================  ======================================

Reported: box AP 40.3 (ResNet-50, 1x), 42.0 (ResNet-101, 1x) on COCO val2017, mmdetection 3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.detector import Candidates
from baimu.detection.faster_rcnn import BoxHead
from baimu.detection.rpn import Proposals, RPNOutput
from baimu.detection.two_stage import Pool, RoIs, TwoStage, box_losses, class_candidates, resnet_fpn, sample_rois
from baimu.layers.contracts import Backbone, Neck
from baimu.losses.boxes import smooth_l1_loss
from baimu.ops.boxes import clip_boxes, decode_deltas
from baimu.recipes import coco_1x
from baimu.sample.random import Sampler
from baimu.targets import Targets
from baimu.zoo import model

Average = Callable[[Tensor], Tensor]
"""Logits of all stages (T, B, R, K + 1) → probabilities (B, R, K + 1)."""


class Stage(NamedTuple):
    """What a head is trained for."""

    iou_threshold: float  # from which a RoI has found its object
    stds: tuple[float, ...]  # of its deltas, which become smaller as the boxes become better
    weight: float  # of its losses


STAGES = (
    Stage(0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
    Stage(0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
    Stage(0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
)


class CascadeOutput(NamedTuple):
    """Raw predictions of the first stage and of the T that follow."""

    rpn_logits: list[Tensor]  # (B, P) a level
    rpn_deltas: list[Tensor]  # (B, P, 4)
    anchors: list[Tensor]  # (P, 4)
    proposals: Proposals
    boxes: list[Tensor]  # T + 1 of (B, R, 4): what each stage judges, and at last the final boxes
    logits: list[Tensor]  # T of (B, R, K + 1), background last
    deltas: list[Tensor]  # T of (B, R, 1, 4)


class CascadeHead(nn.ModuleList):
    """Box heads in a row, with one box for all classes, each on the boxes that the last one refined (Fig. 3d)."""

    def __init__(self, heads: Iterable[nn.Module], stages: Sequence[Stage] = STAGES) -> None:
        super().__init__(heads)
        if len(self) != len(stages):
            raise ValueError(f"one head a stage: {len(self)} heads for {len(stages)} stages")
        self.stages = tuple(stages)

    def forward(self, pool: Pool, boxes: Tensor, sizes: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Proposals (B, R, 4) → boxes, logits and deltas as in :class:`CascadeOutput`."""
        boxes_of, logits_of, deltas_of = [boxes], [], []
        for head, stage in zip(self, self.stages, strict=True):
            logits, deltas = head(pool(boxes_of[-1]))
            logits_of.append(logits)
            deltas_of.append(deltas)
            boxes_of.append(refine(boxes_of[-1], deltas, stage.stds, sizes))
        return boxes_of, logits_of, deltas_of

    def losses(
        self,
        pool: Pool,
        proposals: Proposals,
        targets: Targets,
        sampler: Sampler,
        box_loss: Callable[[Tensor, Tensor], Tensor],
    ) -> tuple[dict[str, Tensor], list[RoIs]]:
        """``cls1``, ``box1``, ``cls2``, …, and the RoIs that each stage was trained on."""
        losses, rois_of = {}, []
        for number, (head, stage) in enumerate(zip(self, self.stages, strict=True), start=1):
            rois = sample_rois(proposals, targets, sampler, stage.iou_threshold)
            logits, deltas = head(pool(rois.boxes))
            cls, box = box_losses(logits, deltas, rois, targets, stage.stds, box_loss)
            losses |= {f"cls{number}": stage.weight * cls, f"box{number}": stage.weight * box}
            rois_of.append(rois)
            found = rois.valid & ~rois.own
            boxes = refine(rois.boxes, deltas, stage.stds, targets.sizes)
            proposals = Proposals(boxes.masked_fill(~found[..., None], 0), found)
        return losses, rois_of


def refine(boxes: Tensor, deltas: Tensor, stds: tuple[float, ...], sizes: Tensor) -> Tensor:
    """Boxes (B, R, 4) moved by deltas (B, R, 1, 4) and clipped; no gradient passes from a stage to the one before.

    A box that is not a number becomes 0: it is the loss that shall report a network that has overflowed.
    """
    return clip_boxes(decode_deltas(boxes, deltas[:, :, 0].detach(), stds), sizes).nan_to_num(0)


def mean_logit(logits: Float[Tensor, "t *n k"]) -> Float[Tensor, "*n k"]:
    """Probabilities of the mean logit over the stages, as mmdetection."""
    return logits.mean(0).softmax(-1)


def mean_probability(logits: Float[Tensor, "t *n k"]) -> Float[Tensor, "*n k"]:
    """The stages' mean probability, as the authors and detectron2."""
    return logits.softmax(-1).mean(0)


def decode_cascade(outputs: CascadeOutput, average: Average, score_threshold: float, sizes: Tensor) -> Candidates:
    """The last boxes, each with the average score of all stages."""
    scores = average(torch.stack(outputs.logits).float())[..., :-1] * outputs.proposals.valid[..., None]
    return class_candidates(scores, outputs.boxes[-1][:, :, None], score_threshold, sizes)


DEFAULTS: dict[str, Any] = {
    "box_loss": smooth_l1_loss,
    "rpn_box_loss": partial(smooth_l1_loss, beta=1 / 9),
    "rpn_border": 0.0,
    "train_proposals": (2000, 2000),
}
"""Where the method differs from :class:`~baimu.detection.two_stage.TwoStage`."""


class CascadeRCNN(TwoStage):
    """The detector on any backbone and neck; ``options`` are those of :class:`~baimu.detection.two_stage.TwoStage`."""

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: CascadeHead | None = None,
        average: Average = mean_logit,
        **options,
    ) -> None:
        super().__init__(backbone, neck, num_classes=num_classes, **DEFAULTS | options)
        self.head = head or cascade_head(neck.channels[0], num_classes)
        self.average = average

    def judge(self, maps: list[Tensor], first: RPNOutput, proposals: Proposals, sizes: Tensor) -> CascadeOutput:
        """Class scores of every proposal by every stage, and the boxes as they become better."""
        return CascadeOutput(*first, proposals, *self.head(partial(self.pool_rois, maps), proposals.boxes, sizes))

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Each stage's two losses by its weight."""
        pool = partial(self.pool_rois, maps)
        losses, _ = self.head.losses(pool, proposals, targets, self.roi_sampler, self.box_loss)
        return losses

    def decode(self, outputs: CascadeOutput, sizes: Tensor) -> Candidates:
        """Every (proposal, class) pair, N = R * K."""
        return decode_cascade(outputs, self.average, self.score_threshold, sizes)


def cascade_head(channels: int, num_classes: int, hidden: int = 1024) -> CascadeHead:
    """Three heads of two fully connected layers of ``hidden`` units."""
    return CascadeHead(BoxHead(channels, num_classes, hidden=hidden, class_agnostic=True) for _ in STAGES)


def cascade_rcnn(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    width: int = 256,
    hidden: int = 1024,
    stride_in_3x3: bool = True,
    **options,
) -> CascadeRCNN:
    """Cascade R-CNN on a ResNet, in Caffe style with ``stride_in_3x3=False``; ``width`` channels in the pyramid,
    ``hidden`` units in the box heads."""
    backbone, neck = resnet_fpn(build, scratch, width, stride_in_3x3=stride_in_3x3)
    head = cascade_head(width, num_classes, hidden)
    return CascadeRCNN(backbone, neck, num_classes=num_classes, head=head, **options)


@model("cascade_rcnn_r18_fpn", task="detection", paper="1712.00726", recipe=coco_1x)
def cascade_rcnn_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeRCNN:
    """Cascade R-CNN with ResNet-18 and FPN P2–P6."""
    return cascade_rcnn(resnet18, num_classes, scratch, **options)


@model("cascade_rcnn_r50_fpn", task="detection", paper="1712.00726", recipe=coco_1x, reported={"box_ap": 40.3})
def cascade_rcnn_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeRCNN:
    """Cascade R-CNN with ResNet-50 and FPN P2–P6."""
    return cascade_rcnn(resnet50, num_classes, scratch, **options)


@model("cascade_rcnn_r101_fpn", task="detection", paper="1712.00726", recipe=coco_1x, reported={"box_ap": 42.0})
def cascade_rcnn_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeRCNN:
    """Cascade R-CNN with ResNet-101 and FPN P2–P6."""
    return cascade_rcnn(resnet101, num_classes, scratch, **options)
