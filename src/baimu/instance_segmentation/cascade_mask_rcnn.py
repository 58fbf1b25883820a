"""Cascade Mask R-CNN, from Cascade R-CNN: High Quality Object Detection and Instance Segmentation (Cai, Vasconcelos
2019), arXiv 1906.09756 §6.

Cascade R-CNN with Mask R-CNN's mask head on every stage: each learns on the boxes of its stage, and all of them draw
the final detections.

B images, R proposals (padded), S sampled RoIs (padded), K classes, M objects, D detections (padded), T stages.

Differences, beside those of :mod:`baimu.detection.cascade_rcnn`:

=====================  =================================  ======================================
what                   paper                              here (and mmdetection)
=====================  =================================  ======================================
place of the mask      one at the first, the last, or     all stages (the paper's best)
heads                  all stages (Fig. 6)
final masks            mean of all heads                  mean of their probabilities
weights of the masks'  not said                           as of the boxes': 1, 0.5, 0.25
losses
=====================  =================================  ======================================

Reported: box AP 41.2 and mask AP 35.9 (ResNet-50, 1x), 42.9 and 37.3 (ResNet-101, 1x) on COCO val2017, mmdetection
3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.cascade_rcnn import (
    DEFAULTS,
    Average,
    CascadeHead,
    CascadeOutput,
    cascade_head,
    decode_cascade,
    mean_logit,
)
from baimu.detection.detector import Candidates
from baimu.detection.rpn import Proposals, RPNOutput
from baimu.detection.two_stage import TwoStage, resnet_fpn
from baimu.instance_segmentation.mask_rcnn import MaskHead, mask_loss, predict_masks
from baimu.layers.contracts import Backbone, Neck
from baimu.ops.nms import Detected
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model


class CascadeMaskOutput(NamedTuple):
    """Raw predictions of all stages, and the maps from which the final detections' masks are drawn."""

    boxes: CascadeOutput
    maps: list[Tensor]  # (B, C, H, W) of the pyramid


class CascadeMaskRCNN(TwoStage):
    """The detector on any backbone and neck; ``mask_head`` holds one for each stage of ``head``. ``options`` are those
    of :class:`~baimu.detection.two_stage.TwoStage`."""

    needs_masks = True

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: CascadeHead | None = None,
        mask_head: nn.ModuleList | None = None,
        average: Average = mean_logit,
        **options,
    ) -> None:
        super().__init__(backbone, neck, num_classes=num_classes, **DEFAULTS | options)
        channels = neck.channels[0]
        self.head = head or cascade_head(channels, num_classes)
        self.mask_head = mask_head or nn.ModuleList(MaskHead(channels, num_classes) for _ in self.head)
        self.average = average

    def judge(self, maps: list[Tensor], first: RPNOutput, proposals: Proposals, sizes: Tensor) -> CascadeMaskOutput:
        """As Cascade R-CNN; masks wait for the detections."""
        stages = self.head(partial(self.pool_rois, maps), proposals.boxes, sizes)
        return CascadeMaskOutput(CascadeOutput(*first, proposals, *stages), maps)

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Each stage's three losses by its weight."""
        pool, mask_pool = partial(self.pool_rois, maps), partial(self.pool_rois, maps, size=14)
        losses, rois_of = self.head.losses(pool, proposals, targets, self.roi_sampler, self.box_loss)
        stages = zip(self.head.stages, self.mask_head, rois_of, strict=True)
        for number, (stage, mask_head, rois) in enumerate(stages, start=1):
            losses[f"mask{number}"] = stage.weight * mask_loss(mask_head, mask_pool, rois, targets)
        return losses

    def decode(self, outputs: CascadeMaskOutput, sizes: Tensor) -> Candidates:
        """Boxes as Cascade R-CNN's."""
        return decode_cascade(outputs.boxes, self.average, self.score_threshold, sizes)

    def complete(self, outputs: CascadeMaskOutput, found: Detected) -> Detected:
        """The mask of each final detection in its box, by all stages together."""
        return predict_masks(list(self.mask_head), partial(self.pool_rois, outputs.maps, size=14), found)


def cascade_mask_rcnn(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    width: int = 256,
    hidden: int = 1024,
    stride_in_3x3: bool = True,
    **options,
) -> CascadeMaskRCNN:
    """Cascade Mask R-CNN on a ResNet, in Caffe style with ``stride_in_3x3=False``; ``width`` channels in the pyramid
    and the mask heads, ``hidden`` units in the box heads."""
    backbone, neck = resnet_fpn(build, scratch, width, stride_in_3x3=stride_in_3x3)
    head = cascade_head(width, num_classes, hidden)
    return CascadeMaskRCNN(backbone, neck, num_classes=num_classes, head=head, **options)


TASK, PAPER = "instance_segmentation", "1906.09756"


@model("cascade_mask_rcnn_r18_fpn", task=TASK, paper=PAPER, recipe=coco_1x)
def cascade_mask_rcnn_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeMaskRCNN:
    """Cascade Mask R-CNN with ResNet-18 and FPN P2–P6."""
    return cascade_mask_rcnn(resnet18, num_classes, scratch, **options)


@model("cascade_mask_rcnn_r50_fpn", task=TASK, paper=PAPER, recipe=coco_1x, reported={"box_ap": 41.2, "mask_ap": 35.9})
def cascade_mask_rcnn_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeMaskRCNN:
    """Cascade Mask R-CNN with ResNet-50 and FPN P2–P6."""
    return cascade_mask_rcnn(resnet50, num_classes, scratch, **options)


@model("cascade_mask_rcnn_r101_fpn", task=TASK, paper=PAPER, recipe=coco_1x, reported={"box_ap": 42.9, "mask_ap": 37.3})
def cascade_mask_rcnn_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> CascadeMaskRCNN:
    """Cascade Mask R-CNN with ResNet-101 and FPN P2–P6."""
    return cascade_mask_rcnn(resnet101, num_classes, scratch, **options)
