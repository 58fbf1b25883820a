"""torchvision's three detectors and ours with the very same parameters, definitions set to agree where they can."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import detection as peer

from baimu.backbones.resnet import resnet50
from baimu.detection.detector import Detector
from baimu.detection.faster_rcnn import FasterRCNN
from baimu.detection.fcos import FCOS, FCOSHead
from baimu.detection.retinanet import RetinaNet
from baimu.layers.anchors import AnchorGrid
from baimu.layers.norm import frozen_batch_norm
from baimu.losses.boxes import giou_loss
from baimu.necks.fpn import FPN
from baimu.ops.roi import roi_align
from baimu.weights import torchvision as tables
from baimu.weights.keys import load_renamed

CLASSES = 91  # torchvision counts background among them; so do its heads here


@dataclass(frozen=True)
class Pair:
    """Two networks that compute the same."""

    name: str
    theirs: nn.Module
    ours: Detector


def _randomize(model: nn.Module) -> None:
    """Norm statistics of a network that has seen data, so that folding them has something to do."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * torch.rand(tensor.shape, generator=generator))
        elif name.endswith("running_mean"):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))


def build_pair(name: str, size: int) -> Pair:
    """``retinanet``, ``fcos`` or ``faster_rcnn`` with ResNet-50, for square images of ``size`` pixels."""
    torch.manual_seed(0)
    settings = {"weights": None, "weights_backbone": None, "min_size": size, "max_size": size}
    if name == "faster_rcnn":
        theirs = peer.fasterrcnn_resnet50_fpn(num_classes=CLASSES, **settings)
        backbone = resnet50(norm=frozen_batch_norm, frozen_stages=2)
        neck = FPN(backbone, 256, extra=1)
        ours: Detector = FasterRCNN(
            backbone,
            neck,
            num_classes=CLASSES - 1,
            anchors=AnchorGrid(theirs.rpn.anchor_generator.cell_anchors, neck.strides),
            pool=partial(roi_align, sampling_ratio=2, aligned=False),
            train_proposals=(2000, 2000),
        )
        table, state = tables.DETECTION, tables.background_last
    else:
        backbone = resnet50(out=(3, 4, 5), norm=frozen_batch_norm, frozen_stages=2)
        neck = FPN(backbone, 256, extra=2, extra_from="output", relu_before_extra=True)
        state = dict
        if name == "retinanet":
            theirs = peer.retinanet_resnet50_fpn(num_classes=CLASSES, **settings)
            grid = AnchorGrid(theirs.anchor_generator.cell_anchors, neck.strides)
            ours, table = RetinaNet(backbone, neck, num_classes=CLASSES, anchors=grid), tables.RETINANET
        else:
            theirs = peer.fcos_resnet50_fpn(num_classes=CLASSES, **settings)
            head = FCOSHead(256, CLASSES, neck.strides, tower_bias=True, improved=True)
            ours = FCOS(
                backbone, neck, num_classes=CLASSES, head=head, center_radius=1.5, box_loss=giou_loss, iou_threshold=0.6
            )
            table = tables.FCOS
    _randomize(theirs)
    load_renamed(ours, state(theirs.state_dict()), table, may_miss=(r"num_batches_tracked$", r"^head\.scales\."))
    return Pair(name, theirs, ours)


def largest_difference(pair: Pair, ours: Detector, images: Tensor) -> float:
    """Of the raw outputs of the (first) dense head on normalised images, relative to their largest magnitude."""
    with torch.no_grad():
        maps = list(pair.theirs.backbone(images).values())
        if pair.name == "faster_rcnn":
            expected = [x.permute(0, 2, 3, 1).flatten(1) for x in pair.theirs.rpn.head(maps)[0]]
            found = list(ours(images).rpn_logits)
        else:
            expected = [pair.theirs.head(maps)["cls_logits"].flatten(1)]
            found = [torch.cat([x.flatten(1) for x in ours(images).logits], 1)]
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(expected, found, strict=True))
