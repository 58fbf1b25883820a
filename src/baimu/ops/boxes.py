"""Box arithmetic. Boxes are xyxy in pixels, float, continuous coordinates (no +1). Dims: N boxes, B images."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOG_RATIO_LIMIT = math.log(1000 / 16)
"""Largest |log size ratio| a delta may decode to: a 16 px anchor becomes at most 1000 px."""


def box_area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Area in square pixels; negative sides are not mended."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(a: Float[Tensor, "*b n 4"], b: Float[Tensor, "*c m 4"]) -> Float[Tensor, "*d n m"]:
    """Pairwise IoU in 0…1, broadcast over leading dims; the union is floored at 1e-6, so empty boxes give 0.

    Three (…, N, M) buffers live at a time: with 200,000 anchors that, not arithmetic, is the cost.
    """
    a, b = a[..., :, None, :], b[..., None, :, :]
    overlap = torch.minimum(a[..., 2], b[..., 2]).sub_(torch.maximum(a[..., 0], b[..., 0])).clamp_(min=0)
    height = torch.minimum(a[..., 3], b[..., 3]).sub_(torch.maximum(a[..., 1], b[..., 1])).clamp_(min=0)
    overlap.mul_(height)
    union = torch.add(box_area(a), box_area(b), out=height).sub_(overlap).clamp_(min=1e-6)
    return overlap.div_(union)


def paired_iou(
    a: Float[Tensor, "*n 4"],
    b: Float[Tensor, "*n 4"],
    kind: Literal["iou", "giou", "diou", "ciou"] = "iou",
    eps: float = 1e-7,
) -> Float[Tensor, "*n"]:
    """Overlap of box i of ``a`` with box i of ``b``, differentiable in both.

    ``iou`` in 0…1; ``giou`` (1902.09630) and ``diou`` (1911.08287) in −1…1; ``ciou`` subtracts an aspect term from
    ``diou``, whose weight alpha takes no gradient. ``eps`` floors union, enclosing area and diagonal. Inverted
    boxes have no overlap.
    """
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(-1)
    union = box_area(a) + box_area(b) - overlap
    iou = overlap / union.clamp(min=eps)
    if kind == "iou":
        return iou
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    if kind == "giou":
        hull_area = hull.clamp(min=0).prod(-1).clamp(min=eps)
        return iou - (hull_area - union) / hull_area
    diagonal = hull.square().sum(-1) + eps
    centre_distance = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    diou = iou - centre_distance / diagonal
    if kind == "diou":
        return diou
    width_a, height_a = (a[..., 2:] - a[..., :2]).unbind(-1)
    width_b, height_b = (b[..., 2:] - b[..., :2]).unbind(-1)
    angle = torch.atan2(width_b, height_b) - torch.atan2(width_a, height_a)
    aspect = (4 / math.pi**2) * angle.square()
    alpha = (aspect / (1 - iou + aspect).clamp(min=eps)).detach()
    return diou - alpha * aspect


def clip_boxes(boxes: Float[Tensor, "b *n 4"], sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b *n 4"]:
    """Boxes moved into [0, width] x [0, height] of their own image; ``sizes`` are (height, width)."""
    limits = sizes[:, [1, 0, 1, 0]].to(boxes.dtype).reshape(-1, *[1] * (boxes.dim() - 2), 4)
    return torch.minimum(boxes.clamp(min=0), limits)


def xyxy_to_cxcywh(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Corners to (centre x, centre y, width, height), in the unit they are given in."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def cxcywh_to_xyxy(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Inverse of :func:`xyxy_to_cxcywh`."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def encode_deltas(
    anchors: Float[Tensor, "*n 4"], boxes: Float[Tensor, "*n 4"], stds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
) -> Float[Tensor, "*n 4"]:
    """(dx, dy, dw, dh): centre offset over anchor size, log size ratio, each over its std (R-CNN, 1311.2524 C)."""
    size, target = anchors[..., 2:] - anchors[..., :2], boxes[..., 2:] - boxes[..., :2]
    centre, target_centre = anchors[..., :2] + size / 2, boxes[..., :2] + target / 2
    deltas = torch.cat([(target_centre - centre) / size, (target / size).log()], -1)
    return deltas / deltas.new_tensor(stds)


def decode_deltas(
    anchors: Float[Tensor, "... 4"], deltas: Float[Tensor, "... 4"], stds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
) -> Float[Tensor, "... 4"]:
    """Inverse of :func:`encode_deltas`, broadcast; |log size ratio| is held to :data:`LOG_RATIO_LIMIT`."""
    deltas = deltas.float() * deltas.new_tensor(stds, dtype=torch.float32)
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + size / 2 + deltas[..., :2] * size
    half = size * deltas[..., 2:].clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp() / 2
    return torch.cat([centre - half, centre + half], -1)


def encode_distances(points: Float[Tensor, "... 2"], boxes: Float[Tensor, "... 4"]) -> Float[Tensor, "... 4"]:
    """Distances (left, top, right, bottom) from points to the sides of boxes, pixels, broadcast; negative outside."""
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def decode_distances(points: Float[Tensor, "... 2"], distances: Float[Tensor, "... 4"]) -> Float[Tensor, "... 4"]:
    """Inverse of :func:`encode_distances`, broadcast."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)
