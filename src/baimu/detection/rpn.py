"""Region proposal network: a small dense network that says where something is, not what (Ren, He, Girshick, Sun 2015,
1506.01497 §3), with the levels of a pyramid in the place of scales (1612.03144 §4.1).

B images, P anchors (of a level, or of all), R proposals (padded). What differs from the paper and between references
stands in the table of :mod:`baimu.detection.faster_rcnn`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from baimu.assign.max_iou import IGNORE, max_iou_assign
from baimu.detection.dense import flatten_map, take
from baimu.layers.conv import ConvNorm, init_normal
from baimu.losses.classification import binary_cross_entropy_loss
from baimu.ops.boxes import clip_boxes, decode_deltas, encode_deltas
from baimu.ops.distributed import reduce_mean
from baimu.ops.nms import keep_best
from baimu.ops.top import top
from baimu.sample.random import Sampler
from baimu.targets import Targets


class RPNOutput(NamedTuple):
    """Raw predictions, one entry a level."""

    logits: list[Tensor]  # (B, P) objectness
    deltas: list[Tensor]  # (B, P, 4)
    anchors: list[Tensor]  # (P, 4) xyxy pixels


class Proposals(NamedTuple):
    """First stage's answer, best first; boxes are zero where not ``valid``."""

    boxes: Tensor  # (B, R, 4) xyxy pixels, clipped to the image
    valid: Tensor  # (B, R)


class RPNHead(nn.Module):
    """Objectness and deltas of every anchor: 3x3 ReLU, then two 1x1 (1506.01497 §3.1)."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.regress = nn.Conv2d(channels, anchors * 4, 1)
        init_normal(self)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (B, C, H, W) → logits (B, P) and deltas (B, P, 4) of each level."""
        hidden = [self.conv(x) for x in maps]
        logits = [flatten_map(self.objectness(x), 1)[..., 0] for x in hidden]
        return logits, [flatten_map(self.regress(x), 4) for x in hidden]


@torch.no_grad()
def propose(
    outputs: RPNOutput, sizes: Int[Tensor, "b 2"], limits: tuple[int, int], iou_threshold: float = 0.7
) -> Proposals:
    """The best of each level, decoded, clipped, NMS within the level, then the best overall.

    ``limits`` are counts: of a level before NMS, of an image after it.
    """
    per_level, total = limits
    boxes, scores, levels = [], [], []
    for level, (objectness, delta, anchor) in enumerate(zip(*outputs, strict=True)):
        best, index = top(objectness, per_level)
        boxes.append(decode_deltas(anchor[index], take(delta, index)))
        scores.append(best.float().sigmoid())
        levels.append(torch.full_like(index, level))
    box = clip_boxes(torch.cat(boxes, 1), sizes)
    side = box[..., 2:] - box[..., :2]
    score = torch.cat(scores, 1).masked_fill((side <= 0).any(-1), 0)
    score = keep_best(box, score, torch.cat(levels, 1), iou_threshold)
    score, index = top(score, total)
    valid = score > 0
    return Proposals(take(box, index).masked_fill(~valid[..., None], 0), valid)


def rpn_loss(
    outputs: RPNOutput,
    targets: Targets,
    sampler: Sampler,
    box_loss: Callable[[Tensor, Tensor], Tensor],
    border: float | None = None,
) -> dict[str, Tensor]:
    """BCE and box loss over sampled anchors, both over the number sampled (1506.01497 Eq. 1).

    Anchors that reach ``border`` pixels or more beyond their image take no part (§3.3: 0); ``None``: all do.
    """
    anchor = torch.cat(outputs.anchors)
    assigned = _assign(anchor, targets, border)
    sampled = sampler(assigned)
    count = reduce_mean(sampled.valid.sum().float()).clamp(min=1)
    logit = torch.cat(outputs.logits, 1).gather(1, sampled.index)
    cls = binary_cross_entropy_loss(logit, sampled.positive.float()) * sampled.valid
    image, place = sampled.positive.nonzero(as_tuple=True)
    index = sampled.index[image, place]
    target = encode_deltas(anchor[index], targets.boxes[image, assigned[image, index]])
    box = box_loss(torch.cat(outputs.deltas, 1)[image, index], target)
    return {"rpn_cls": cls.sum() / count, "rpn_box": box.sum() / count}


def _assign(anchor: Tensor, targets: Targets, border: float | None) -> Tensor:
    if border is None:
        return max_iou_assign(anchor, targets, positive=0.7, negative=0.3, low_quality="object", min_positive=0.3)
    limits = targets.sizes[:, None, [1, 0]] + border
    inside = ((anchor[:, :2] >= -border) & (anchor[:, 2:] < limits)).all(-1)
    # an anchor of no size overlaps nothing, so no object can choose one of those outside as its best
    anchor = anchor.where(inside[..., None], 0.0)
    assigned = max_iou_assign(anchor, targets, positive=0.7, negative=0.3, low_quality="object", min_positive=0.3)
    return assigned.masked_fill(~inside, IGNORE)
