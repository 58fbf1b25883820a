"""torchvision's three detectors and ours with the very same parameters, definitions set to agree where they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import detection as peer

from baimu import create_model
from baimu.detection.detector import Detector
from baimu.weights.keys import load_converted
from baimu.weights.torchvision import SOURCE

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
    builder, ours, classes = {
        "retinanet": (peer.retinanet_resnet50_fpn, "retinanet_r50_fpn", CLASSES),
        "fcos": (peer.fcos_resnet50_fpn, "fcos_center_r50_fpn", CLASSES),
        "faster_rcnn": (peer.fasterrcnn_resnet50_fpn, "faster_rcnn_r50_fpn", CLASSES - 1),
    }[name]
    theirs = builder(num_classes=CLASSES, weights=None, weights_backbone=None, min_size=size, max_size=size)
    route = SOURCE.route(ours)
    model = cast(Detector, create_model(ours, num_classes=classes, **route.arguments))
    _randomize(theirs)
    load_converted(model, theirs.state_dict(), route)
    return Pair(name, theirs, model)


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
