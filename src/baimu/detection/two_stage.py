"""What detectors of two stages share: the first stage, the choice of RoIs that train the second, and their losses.

B images, R proposals (padded), S sampled RoIs (padded), K classes, M objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baimu.assign.max_iou import IGNORE, max_iou_assign
from baimu.backbones.resnet import ResNet
from baimu.detection.dense import join_levels, take
from baimu.detection.detector import Candidates, Detector, full_sizes
from baimu.detection.rpn import Proposals, RPNHead, RPNOutput, propose, rpn_loss
from baimu.errors import unknown
from baimu.layers.anchors import AnchorGrid
from baimu.layers.contracts import Backbone, Neck, check_pyramid
from baimu.layers.norm import batch_norm, frozen_batch_norm
from baimu.losses.boxes import l1_loss, smooth_l1_loss
from baimu.losses.classification import cross_entropy_loss
from baimu.necks.fpn import FPN
from baimu.ops.boxes import encode_deltas
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import Nms, multiclass_nms
from baimu.ops.priors import base_anchors
from baimu.ops.roi import roi_align, roi_levels
from baimu.sample.random import Sampler, sample_random
from baimu.targets import Targets

Pool = Callable[[Tensor], Tensor]
"""Boxes (B, R, 4) → their features (B, R, C, s, s)."""


class RoIs(NamedTuple):
    """The boxes that a second stage learns from. What is not ``valid`` holds nothing."""

    boxes: Tensor  # (B, S, 4) xyxy pixels
    owner: Tensor  # (B, S) object index, 0 where not ``positive``
    positive: Tensor  # (B, S)
    valid: Tensor  # (B, S)
    own: Tensor  # (B, S) an object's own box


class TwoStage(Detector):
    """The first stage and the way on from it; a subclass has the second: ``judge``, ``roi_loss`` and ``decode``.

    The neck's maps beyond the fourth only propose. A sampler may be a count: so many at random, at most half of the
    anchors and a quarter of the RoIs positive. ``train_proposals`` and ``test_proposals`` are counts too: of a level
    before NMS, of an image after it. ``box_loss`` serves both stages unless the first has its own, ``rpn_box_loss``.
    Anchors that reach ``rpn_border`` pixels beyond the image do not train; ``None``: all do.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        anchors: AnchorGrid | None = None,
        rpn_sampler: Sampler | int = 256,
        roi_sampler: Sampler | int = 512,
        pool: Callable[..., Tensor] = roi_align,
        box_loss: Callable[[Tensor, Tensor], Tensor] = l1_loss,
        rpn_box_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        rpn_border: float | None = None,
        train_proposals: tuple[int, int] = (2000, 1000),
        test_proposals: tuple[int, int] = (1000, 1000),
        max_detections: int = 100,
        nms: Nms = multiclass_nms,
    ) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=0.5, max_detections=max_detections, nms=nms)
        check_pyramid(neck, type(self).__name__)
        base = [base_anchors(8 * stride, (1.0,), (0.5, 1.0, 2.0)) for stride in neck.strides]
        self.backbone, self.neck = backbone, neck
        self.anchors = anchors or AnchorGrid(base, neck.strides)
        self.rpn = RPNHead(neck.channels[0], self.anchors.anchors_per_cell)
        self.rpn_sampler, self.roi_sampler = _sampler(rpn_sampler, 0.5), _sampler(roi_sampler, 0.25)
        self.pool = pool
        self.box_loss, self.rpn_box_loss, self.rpn_border = box_loss, rpn_box_loss or box_loss, rpn_border
        self.train_proposals, self.test_proposals = train_proposals, test_proposals
        self.roi_levels = min(4, len(neck.strides))
        self.rpn_iou_threshold, self.score_threshold = 0.7, 0.05

    def judge(self, maps: list[Tensor], first: RPNOutput, proposals: Proposals, sizes: Tensor) -> Any:
        """The second stage's raw predictions, as a NamedTuple that holds the first's too."""
        raise NotImplementedError

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """The second stage's losses by name."""
        raise NotImplementedError

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Any:
        """Normalised images (B, 3, H, W), valid ``sizes`` (B, 2; default all) → raw predictions of both stages."""
        sizes = full_sizes(images) if sizes is None else sizes
        maps, first = self.first_stage(images)
        return self.judge(maps, first, propose(first, sizes, self.test_proposals, self.rpn_iou_threshold), sizes)

    def first_stage(self, images: Tensor) -> tuple[list[Tensor], RPNOutput]:
        """The pyramid's maps and what the first stage says of them."""
        maps = self.neck(self.backbone(images))
        logits, deltas = self.rpn(maps)
        return maps, RPNOutput(logits, deltas, self.anchors(maps))

    def pool_rois(self, maps: list[Tensor], boxes: Tensor, size: int = 7) -> Tensor:
        """Features (B, R, C, size, size) of each box from the level that fits its size (1612.03144 Eq. 1)."""
        levels = roi_levels(boxes, self.roi_levels)
        return self.pool(maps[: self.roi_levels], boxes, levels, self.neck.strides[: self.roi_levels], size)

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Both stages' losses in one pass; proposals and the choice of RoIs take no gradient."""
        maps, first = self.first_stage(images)
        proposals = propose(first, targets.sizes, self.train_proposals, self.rpn_iou_threshold)
        losses = rpn_loss(first, targets, self.rpn_sampler, self.rpn_box_loss, self.rpn_border)
        return losses | self.roi_loss(maps, proposals, targets)

    def outputs(self, images: Tensor, sizes: Tensor) -> Any:
        """As ``forward``; proposals too are clipped to ``sizes``."""
        return self(images, sizes)


def _sampler(choice: Sampler | int, positive_share: float) -> Sampler:
    return partial(sample_random, count=choice, positive_share=positive_share) if isinstance(choice, int) else choice


@torch.no_grad()
def sample_rois(
    proposals: Proposals,
    targets: Targets,
    sampler: Sampler,
    iou_threshold: float,
    low_quality: Literal["no", "object", "prior"] = "no",
) -> RoIs:
    """Proposals, and the objects themselves, for early on nothing else overlaps them: those that the sampler takes.

    Positive are those of IoU >= ``iou_threshold`` with an object, and with ``low_quality`` the best of each object
    (:func:`~baimu.assign.max_iou.max_iou_assign`), never one below the threshold; the rest is background.
    """
    assigned = max_iou_assign(
        proposals.boxes,
        targets,
        positive=iou_threshold,
        negative=iou_threshold,
        low_quality=low_quality,
        min_positive=iou_threshold,
    )
    objects = torch.arange(targets.labels.shape[1], device=assigned.device).expand(targets.labels.shape)
    assigned = torch.cat(
        [objects.masked_fill(~targets.valid, IGNORE), assigned.masked_fill(~proposals.valid, IGNORE)], 1
    )
    sampled = sampler(assigned)
    return RoIs(
        take(torch.cat([targets.boxes, proposals.boxes], 1), sampled.index),
        assigned.gather(1, sampled.index).clamp(min=0),
        sampled.positive,
        sampled.valid,
        sampled.index < objects.shape[1],
    )


def box_losses(
    logits: Float[Tensor, "b s k1"],
    deltas: Float[Tensor, "b s _ 4"],
    rois: RoIs,
    targets: Targets,
    stds: tuple[float, ...],
    box_loss: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Cross entropy over all RoIs, and box loss over positive ones on the true class's box (or the only one), both
    over the number of RoIs (1504.08083 Eq. 1)."""
    count = reduce_mean(rois.valid.sum().float()).clamp(min=1)
    label = targets.labels.gather(1, rois.owner).masked_fill(~rois.positive, logits.shape[2] - 1)
    cls = cross_entropy_loss(logits.flatten(0, 1), label.flatten()) * rois.valid.flatten()
    image, place = rois.positive.nonzero(as_tuple=True)
    target = encode_deltas(rois.boxes[image, place], targets.boxes[image, rois.owner[image, place]], stds)
    box = box_loss(deltas[image, place, label[image, place].clamp(max=deltas.shape[2] - 1)], target)
    return cls.sum() / count, box.sum() / count


def class_candidates(
    scores: Float[Tensor, "b r k"], boxes: Float[Tensor, "b r _ 4"], threshold: float, sizes: Int[Tensor, "b 2"]
) -> Candidates:
    """Every (RoI, class) pair, N = R * K, with the class's own box, or the RoI's only one. A score that is not above
    ``threshold`` becomes 0."""
    classes = scores.shape[2]
    labels = torch.arange(classes, device=scores.device).expand(scores.shape)
    scores = scores.masked_fill(scores <= threshold, 0)
    boxes = boxes.expand(-1, -1, classes, -1)
    return join_levels([boxes.flatten(1, 2)], [scores.flatten(1)], [labels.flatten(1)], sizes)


def resnet_fpn(
    build: Callable[..., ResNet], scratch: bool, width: int = 256, *, stride_in_3x3: bool = True
) -> tuple[ResNet, FPN]:
    """A ResNet and P2–P6 on it. ``scratch`` is for training without ImageNet weights: batch norm learns, in the neck
    too (1811.08883), and nothing is frozen. ``stride_in_3x3`` as of :class:`~baimu.backbones.resnet.ResNet`."""
    norm = batch_norm if scratch else None
    backbone = build(norm=norm or frozen_batch_norm, frozen_stages=0 if scratch else 2, stride_in_3x3=stride_in_3x3)
    return backbone, FPN(backbone, width, extra=1, norm=norm)


def definitions(like: str, strides: tuple[int, ...]) -> dict[str, Any]:
    """Options of :class:`TwoStage` for weights of another library: ``like="torchvision"`` is for those of torchvision.

    Its anchors have whole corners, its RoI align has no half cell shift and 2 x 2 points a cell, its box losses are
    smooth L1 (beta 1/9), and 2000 proposals train.
    """
    if like == "mmdetection":
        return {}
    if like != "torchvision":
        raise unknown("definitions to be like", like, ("mmdetection", "torchvision"))
    base = [base_anchors(8 * stride, (1.0,), (0.5, 1.0, 2.0)).round() for stride in strides]
    return {
        "anchors": AnchorGrid(base, strides),
        "pool": partial(roi_align, sampling_ratio=2, aligned=False),
        "box_loss": partial(smooth_l1_loss, beta=1 / 9),
        "train_proposals": (2000, 2000),
    }
