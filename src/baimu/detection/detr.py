"""DETR: End-to-End Object Detection with Transformers (Carion, Massa, Synnaeve, Usunier, Kirillov, Zagoruyko 2020),
arXiv 2005.12872.

Detection as the prediction of a set: a fixed number of learned queries look at the whole map, and each answers with one
object or none. Training matches answers and objects one to one, so that there is no NMS, no anchor and no assignment
rule to tune; every decoder layer answers and is trained.

B images, L decoder layers, Q queries, K classes, M objects (padded), S cells of the map (h x w), C channels.

Differences:

====================  =======================  ===================  ====================  =========================
what                  facebookresearch/detr    mmdetection 3.3      transformers 5        here
====================  =======================  ===================  ====================  =========================
class normaliser      sum of class weights,    the same             the same              mean of that sum over
                      each process its own                                                processes
box normaliser        objects, mean over       matched queries,     objects, mean over    matched queries, mean
                      processes                mean over processes  processes             over processes
GIoU                  of boxes in 0…1          in pixels            of boxes in 0…1       in pixels
boxes of padded       relative to the valid    the same             the same              the same
images                image
the next layer reads  the state before norm    the same             with auxiliary_loss,  the state before norm
                                                                    the normed state
attention dropout     0.1                      0.1                  0                     0.1
class rows            91 + background          80 + background      91 + background       K + background, last
boxes without area    kept                     kept                 kept                  no detection
training images       sides 480…800, half of   the same             –                     factor 0.6…1 of 800, half
                      them cropped to 384…600                                             of them cropped to 0.6…1
====================  =======================  ===================  ====================  =========================

The two box normalisers differ only where an image has more objects than queries.

Reported: box AP 42.0 (ResNet-50), 43.5 (ResNet-101), 43.3 and 44.9 with a dilated C5, 500 epochs, on COCO val2017, by
the paper; 39.9 (ResNet-50) after 150 epochs of 16 images a step, with the drop after 100, mmdetection 3.3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baimu.assign.hungarian import hungarian_assign
from baimu.backbones.resnet import ResNet, resnet18, resnet50, resnet101
from baimu.detection.dense import join_levels
from baimu.detection.detector import Candidates, Detector, full_sizes
from baimu.layers.contracts import Backbone, check_pyramid
from baimu.layers.norm import batch_norm, frozen_batch_norm
from baimu.layers.position import sine_positions, valid_cells
from baimu.layers.transformer import Decoder, Encoder
from baimu.losses.boxes import giou_loss, l1_loss
from baimu.losses.classification import cross_entropy_loss
from baimu.ops.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import Nms, no_nms
from baimu.recipes import coco_1x
from baimu.targets import Targets
from baimu.zoo import model


class DETROutput(NamedTuple):
    """Raw predictions, one entry a decoder layer, the last layer's last."""

    logits: list[Tensor]  # (B, Q, K + 1), background last
    boxes: list[Tensor]  # (B, Q, 4) cxcywh in 0…1 of the valid image


class DETRHead(nn.Module):
    """One linear layer for the class and a perceptron of three for the box (§3.2), shared by all decoder layers."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, num_classes + 1)
        self.box_tower = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.regress = nn.Linear(width, 4)

    def forward(self, states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """States (B, Q, C) of each layer → logits (B, Q, K + 1) and boxes (B, Q, 4), cxcywh in 0…1, of each."""
        x = torch.stack(states)
        boxes = self.regress(self.box_tower(x)).float().sigmoid()
        return list(self.classify(x).unbind()), list(boxes.unbind())


class DETR(Detector):
    """The detector on any backbone of one map; the defaults are the paper's, at COCO's 80 classes.

    ``weights`` of class, L1 and GIoU serve the matching and the loss; ``background_weight`` weighs unmatched queries in
    the class loss. An image can have at most ``queries`` detections.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: Encoder,
        decoder: Decoder,
        *,
        num_classes: int = 80,
        queries: int = 100,
        head: nn.Module | None = None,
        weights: tuple[float, float, float] = (1.0, 5.0, 2.0),
        background_weight: float = 0.1,
        score_threshold: float = 0.0,
        max_detections: int = 100,
        nms: Nms = no_nms,
    ) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=1.0, max_detections=max_detections, nms=nms)
        check_pyramid(backbone, "DETR", levels=1)
        if encoder.width != decoder.width:
            raise TypeError(f"DETR's encoder is {encoder.width} channels wide, its decoder {decoder.width}")
        self.backbone = backbone
        self.project = nn.Conv2d(backbone.channels[0], encoder.width, 1)
        self.encoder, self.decoder = encoder, decoder
        self.queries = nn.Parameter(torch.randn(queries, decoder.width))
        self.head = head or DETRHead(decoder.width, num_classes)
        self.weights, self.background_weight = weights, background_weight
        self.score_threshold = score_threshold
        self.preprocess = self.preprocess.replace(pad_to=1)  # padding is masked, and is no part of the paper's input

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> DETROutput:
        """Normalised images (B, 3, H, W), valid ``sizes`` (B, 2; default all) → raw predictions of every layer."""
        sizes = full_sizes(images) if sizes is None else sizes
        features = self.project(self.backbone(images)[0])
        valid = valid_cells(sizes, images.shape[2:], features.shape[2:])
        positions = sine_positions(valid, features.shape[1]).flatten(1, 2)
        valid = valid.flatten(1)
        memory = self.encoder(features.flatten(2).transpose(1, 2), positions, valid)
        queries = self.queries.expand(images.shape[0], -1, -1)
        return DETROutput(*self.head(self.decoder(queries, memory, positions, valid)))

    def outputs(self, images: Tensor, sizes: Tensor) -> DETROutput:
        """As ``forward``; what lies beyond ``sizes`` is masked out."""
        return self(images, sizes)

    def loss(self, outputs: DETROutput, targets: Targets) -> dict[str, Tensor]:
        """Cross entropy, L1 and GIoU (Eq. 2, A.2) of every layer, each matched for itself.

        The last layer's are ``cls``, ``box`` and ``giou``; those of layer i before it ``d{i}.cls`` and so on. The class
        loss is a weighted mean over all queries, L1 (summed over the four) and GIoU are over the matched.
        """
        logits, boxes = torch.stack(outputs.logits), torch.stack(outputs.boxes)
        index = hungarian_assign(logits, boxes, targets, weights=self.weights)  # (L, B, Q)
        matched, owner = index >= 0, index.clamp(min=0)

        labels = targets.labels.expand(owner.shape[0], -1, -1).gather(2, owner)
        labels = labels.masked_fill(~matched, self.num_classes)
        share = matched + self.background_weight * ~matched
        cls = cross_entropy_loss(logits.flatten(0, 2), labels.flatten()).reshape(labels.shape) * share
        cls = cls.sum((1, 2)) / reduce_mean(share.sum((1, 2))).clamp(min=1e-6)

        count = reduce_mean(matched.sum((1, 2)).float()).clamp(min=1)
        scale = targets.sizes[:, None, [1, 0, 1, 0]].to(boxes.dtype)
        truth = targets.boxes.expand(owner.shape[0], -1, -1, -1).gather(2, owner[..., None].expand(-1, -1, -1, 4))
        distance = l1_loss(boxes, xyxy_to_cxcywh(truth / scale)).sum(-1)
        overlap = giou_loss(cxcywh_to_xyxy(boxes * scale), truth)
        box, giou = (loss.where(matched, 0.0).sum((1, 2)) / count for loss in (distance, overlap))

        last = owner.shape[0] - 1
        layers = [f"d{i}." if i < last else "" for i in range(last + 1)]
        named = zip(("cls", "box", "giou"), self.weights, (cls, box, giou), strict=True)
        parts = {name: (weight * loss).unbind() for name, weight, loss in named}
        return {f"{layer}{name}": parts[name][i] for i, layer in enumerate(layers) for name in parts}

    def decode(self, outputs: DETROutput, sizes: Tensor) -> Candidates:
        """The last layer's box of each query with its best foreground class, N = Q."""
        scores, labels = outputs.logits[-1].float().softmax(-1)[..., :-1].max(-1)
        boxes = cxcywh_to_xyxy(outputs.boxes[-1] * sizes[:, None, [1, 0, 1, 0]])
        return join_levels([boxes], [scores.masked_fill(scores <= self.score_threshold, 0)], [labels], sizes)


def detr(
    build: Callable[..., ResNet],
    num_classes: int,
    scratch: bool,
    *,
    level: int = 5,
    dilated: bool = False,
    stride_in_3x3: bool = True,
    width: int = 256,
    depths: tuple[int, int] = (6, 6),
    heads: int = 8,
    hidden: int = 2048,
    dropout: float = 0.1,
    **options,
) -> DETR:
    """DETR on a ResNet's C5, or the finer map of ``level``; ``dilated`` is DC5, stride 16. ``scratch`` is for training
    without ImageNet weights: batch norm learns, and nothing is frozen. ``depths`` are those of encoder and decoder,
    ``width``, ``heads`` and ``hidden`` their channels, attention heads and perceptron's channels."""
    backbone = build(
        out=(level,),
        norm=batch_norm if scratch else frozen_batch_norm,
        frozen_stages=0 if scratch else 2,
        stride_in_3x3=stride_in_3x3,
        output_stride=16 if dilated else 32,
    )
    encoder = Encoder(width, depths[0], heads=heads, hidden=hidden, dropout=dropout)
    decoder = Decoder(width, depths[1], heads=heads, hidden=hidden, dropout=dropout)
    return DETR(backbone, encoder, decoder, num_classes=num_classes, **options)


recipe = coco_1x.replace(
    epochs=500,
    batch_size=64,
    optimizer="adamw",
    lr=1e-4,
    lr_batch_size=None,  # 1e-4 is what 64 images a step (the paper) and 16 (mmdetection) were trained with
    backbone_lr_factor=0.1,
    clip_norm=0.1,
    milestones=(0.8,),
    warmup_steps=0,
    scale_jitter=(0.6, 1.0),
    crop=0.5,
)


@model("detr_r18", task="detection", paper="2005.12872", recipe=recipe)
def detr_r18(num_classes: int = 80, *, scratch: bool = False, **options) -> DETR:
    """DETR with ResNet-18."""
    return detr(resnet18, num_classes, scratch, **options)


@model("detr_r50", task="detection", paper="2005.12872", recipe=recipe, reported={"box_ap": 42.0})
def detr_r50(num_classes: int = 80, *, scratch: bool = False, **options) -> DETR:
    """DETR with ResNet-50."""
    return detr(resnet50, num_classes, scratch, **options)


@model("detr_r50_dc5", task="detection", paper="2005.12872", recipe=recipe, reported={"box_ap": 43.3})
def detr_r50_dc5(num_classes: int = 80, *, scratch: bool = False, **options) -> DETR:
    """DETR with ResNet-50 and a dilated C5 of stride 16."""
    return detr(resnet50, num_classes, scratch, dilated=True, **options)


@model("detr_r101", task="detection", paper="2005.12872", recipe=recipe, reported={"box_ap": 43.5})
def detr_r101(num_classes: int = 80, *, scratch: bool = False, **options) -> DETR:
    """DETR with ResNet-101."""
    return detr(resnet101, num_classes, scratch, **options)


@model("detr_r101_dc5", task="detection", paper="2005.12872", recipe=recipe, reported={"box_ap": 44.9})
def detr_r101_dc5(num_classes: int = 80, *, scratch: bool = False, **options) -> DETR:
    """DETR with ResNet-101 and a dilated C5 of stride 16."""
    return detr(resnet101, num_classes, scratch, dilated=True, **options)
