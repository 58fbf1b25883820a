"""Mask R-CNN (He, Gkioxari, Dollar, Girshick 2017), arXiv 1703.06870.

Faster R-CNN with a third branch: a small convolutional network draws a mask of every class in each proposal, and the
box branch alone says which class it is. RoI align keeps the features where the pixels are.

B images, R proposals (padded), S sampled RoIs (padded), N positive ones of the whole batch, K classes, M objects,
D detections (padded).

Differences, beside those of :mod:`baimu.detection.faster_rcnn`:

=====================  =========================  ==============================  ===============================
what                   paper                      here (and mmdetection)          torchvision 0.29
=====================  =========================  ==============================  ===============================
positive RoIs          IoU >= 0.5                 and each object's best          IoU >= 0.5
                                                  proposals, if >= 0.5, as its
                                                  own, whatever else they meet
mask target            object's mask in the RoI   RoI align of the bitmap,        RoI align of the bitmap, no
                                                  half pixel shift, >= 0.5        shift, means as they are
mask loss              mean over pixels and       the same                        the same
                       positive RoIs
final masks of         100 best boxes after NMS   the same                        the same
first mask weights     not said                   He's, fan out; in the last      He's, fan out
                                                  layer normal 0.001, as in
                                                  detectron2 (mmdetection: He's,
                                                  whose logits are of tens where
                                                  classes are few)
=====================  =========================  ==============================  ===============================

Reported: box AP 38.2 and mask AP 34.7 (ResNet-50, 1x), 40.0 and 36.1 (ResNet-101, 1x), 41.9 and 37.5 (ResNeXt-101
32x4d, 1x) on COCO val2017, mmdetection 3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
import torchvision
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101, resnext101_32x4d
from baimu.detection.dense import take
from baimu.detection.detector import Candidates
from baimu.detection.faster_rcnn import STDS, BoxHead, FasterRCNNOutput, decode_rois
from baimu.detection.rpn import Proposals, RPNOutput
from baimu.detection.two_stage import Pool, RoIs, TwoStage, box_losses, definitions, resnet_fpn, sample_rois
from baimu.errors import DataError
from baimu.layers.contracts import Backbone, Neck
from baimu.layers.conv import conv_tower, init_normal
from baimu.losses.classification import binary_cross_entropy_loss
from baimu.ops.distributed import reduce_mean
from baimu.ops.masks import roi_mask_targets
from baimu.ops.nms import Detected
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model

MaskTargets = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor, int], Tensor]
"""Masks an image, boxes (R, 4), their objects and images (R,), size → (R, size, size) in 0…1."""


class MaskRCNNOutput(NamedTuple):
    """Raw predictions of both stages, and the maps from which the final detections' masks are drawn."""

    boxes: FasterRCNNOutput
    maps: list[Tensor]  # (B, C, H, W) of the pyramid


class MaskHead(nn.Module):
    """Four 3x3 convolutions on 14 x 14 RoI features, enlarged to 28 x 28, a mask a class (Fig. 4 right)."""

    def __init__(self, channels: int, num_classes: int, *, depth: int = 4) -> None:
        super().__init__()
        self.tower = conv_tower(channels, depth)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.predict = nn.Conv2d(channels, num_classes, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        init_normal(self.predict, std=0.001)

    def forward(self, features: Float[Tensor, "n c s s"]) -> Float[Tensor, "n k s2 s2"]:
        """RoI features → mask logits of every class, twice as fine."""
        return self.predict(self.upsample(self.tower(features)).relu_())


class MaskRCNN(TwoStage):
    """The detector on any backbone and neck; ``options`` are those of
    :class:`~baimu.detection.two_stage.TwoStage`, whose defaults are this method's.

    ``low_quality="object"`` gives each object its best proposals too, if of IoU >= 0.5. ``mask_targets`` says what the
    mask head is to answer."""

    needs_masks = True

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck,
        *,
        num_classes: int = 80,
        head: nn.Module | None = None,
        mask_head: nn.Module | None = None,
        mask_targets: MaskTargets = roi_mask_targets,
        low_quality: Literal["no", "object"] = "object",
        **options,
    ) -> None:
        super().__init__(backbone, neck, num_classes=num_classes, **options)
        self.head = head or BoxHead(neck.channels[0], num_classes)
        self.mask_head = mask_head or MaskHead(neck.channels[0], num_classes)
        self.mask_targets = mask_targets
        self.low_quality: Literal["no", "object"] = low_quality

    def judge(self, maps: list[Tensor], first: RPNOutput, proposals: Proposals, sizes: Tensor) -> MaskRCNNOutput:
        """Class scores and boxes of every proposal. Masks wait for the detections, which are few and well placed."""
        logits, deltas = self.head(self.pool_rois(maps, proposals.boxes))
        return MaskRCNNOutput(FasterRCNNOutput(*first, proposals, logits, deltas), maps)

    def roi_loss(self, maps: list[Tensor], proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Faster R-CNN's two losses and the mask's (§3: their sum)."""
        rois = sample_rois(proposals, targets, self.roi_sampler, 0.5, self.low_quality)
        logits, deltas = self.head(self.pool_rois(maps, rois.boxes))
        cls, box = box_losses(logits, deltas, rois, targets, STDS, self.box_loss)
        pool = partial(self.pool_rois, maps, size=14)
        mask = mask_loss(self.mask_head, pool, rois, targets, self.mask_targets)
        return {"cls": cls, "box": box, "mask": mask}

    def decode(self, outputs: MaskRCNNOutput, sizes: Tensor) -> Candidates:
        """Boxes as Faster R-CNN's."""
        return decode_rois(outputs.boxes, self.score_threshold, sizes)

    def complete(self, outputs: MaskRCNNOutput, found: Detected) -> Detected:
        """The mask of each final detection, in its box."""
        return predict_masks([self.mask_head], partial(self.pool_rois, outputs.maps, size=14), found)


def mask_loss(
    head: nn.Module, pool: Pool, rois: RoIs, targets: Targets, mask_targets: MaskTargets = roi_mask_targets
) -> Tensor:
    """Sigmoid cross entropy of the true class's mask, the mean over pixels and positive RoIs: classes do not compete
    (§3). Without a positive RoI it is 0, with a gradient of 0 for every parameter.

    Raises :class:`~baimu.errors.DataError` where the targets have no masks.
    """
    if targets.masks is None:
        raise DataError("this model learns masks and these objects have none; give data with polygons or run lengths")
    most = max(1, int(rois.positive.sum(1).max()))
    first = rois.positive.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    boxes, owner = take(rois.boxes, first), rois.owner.gather(1, first)
    image, place = rois.positive.gather(1, first).nonzero(as_tuple=True)
    owner = owner[image, place]
    logits = _of_class(head(pool(boxes)[image, place]), targets.labels[image, owner])
    target = mask_targets(targets.masks, boxes[image, place], owner, image, logits.shape[-1])
    count = reduce_mean(rois.positive.sum().float()).clamp(min=1)
    return binary_cross_entropy_loss(logits, target).mean((1, 2)).sum() / count


def predict_masks(heads: Sequence[nn.Module], pool: Pool, found: Detected) -> Detected:
    """``found`` with the mask of each detection's own class, the mean probability over ``heads`` (one, or a stage
    each); zeros on padding."""
    features, labels = pool(found.boxes).flatten(0, 1), found.labels.flatten()
    logits = [_of_class(head(features), labels.clamp(min=0)) for head in heads]
    mean = torch.stack([x.float().sigmoid() for x in logits]).mean(0) * (labels >= 0)[:, None, None]
    return found._replace(masks=mean.unflatten(0, found.labels.shape))


def soft_mask_targets(
    masks: Sequence[Bool[Tensor, "_n h w"]],
    boxes: Float[Tensor, "r 4"],
    owner: Int[Tensor, " r"],
    image: Int[Tensor, " r"],
    size: int,
) -> Float[Tensor, "r {size} {size}"]:
    """torchvision's in the place of :func:`~baimu.ops.masks.roi_mask_targets`: the mean over each cell as it is, boxes
    without the half pixel shift."""
    targets = boxes.new_zeros(len(boxes), size, size)
    for i, bitmaps in enumerate(masks):
        here = image == i
        rois = torch.cat([owner[here, None].to(boxes.dtype), boxes[here]], 1)
        targets[here] = torchvision.ops.roi_align(bitmaps[:, None].to(boxes.dtype), rois, size)[:, 0]
    return targets


def _of_class(logits: Tensor, labels: Tensor) -> Tensor:
    index = labels[:, None, None, None].expand(-1, -1, *logits.shape[2:])
    return logits.gather(1, index)[:, 0]  # to index by two tensors would hold a graph to the example's count


def mask_rcnn(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    width: int = 256,
    hidden: int = 1024,
    stride_in_3x3: bool = True,
    like: str = "mmdetection",
    **options,
) -> MaskRCNN:
    """Mask R-CNN on a ResNet; ``width`` channels in the pyramid and the mask head, ``hidden`` units in the box head.
    Weights of other libraries need ``like="torchvision"`` (the last column of the tables) or ``stride_in_3x3=False``
    (Caffe style)."""
    backbone, neck = resnet_fpn(build, scratch, width, stride_in_3x3=stride_in_3x3)
    head = BoxHead(width, num_classes, hidden=hidden)
    if like == "torchvision":
        options = {"low_quality": "no", "mask_targets": soft_mask_targets} | options
    options = definitions(like, neck.strides) | options
    return MaskRCNN(backbone, neck, num_classes=num_classes, head=head, **options)


TASK, PAPER = "instance_segmentation", "1703.06870"


@model("mask_rcnn_r18_fpn", task=TASK, paper=PAPER, recipe=coco_1x)
def mask_rcnn_r18_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> MaskRCNN:
    """Mask R-CNN with ResNet-18 and FPN P2–P6."""
    return mask_rcnn(resnet18, num_classes, scratch, **options)


@model("mask_rcnn_r50_fpn", task=TASK, paper=PAPER, recipe=coco_1x, reported={"box_ap": 38.2, "mask_ap": 34.7})
def mask_rcnn_r50_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> MaskRCNN:
    """Mask R-CNN with ResNet-50 and FPN P2–P6."""
    return mask_rcnn(resnet50, num_classes, scratch, **options)


@model("mask_rcnn_r101_fpn", task=TASK, paper=PAPER, recipe=coco_1x, reported={"box_ap": 40.0, "mask_ap": 36.1})
def mask_rcnn_r101_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> MaskRCNN:
    """Mask R-CNN with ResNet-101 and FPN P2–P6."""
    return mask_rcnn(resnet101, num_classes, scratch, **options)


@model("mask_rcnn_x101_32x4d_fpn", task=TASK, paper=PAPER, recipe=coco_1x, reported={"box_ap": 41.9, "mask_ap": 37.5})
def mask_rcnn_x101_32x4d_fpn(num_classes: int = 80, *, scratch: bool = False, **options) -> MaskRCNN:
    """Mask R-CNN with ResNeXt-101 32x4d and FPN P2–P6."""
    return mask_rcnn(resnext101_32x4d, num_classes, scratch, **options)
