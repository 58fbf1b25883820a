"""Point assignment of FCOS (1904.01355 §3.1). Dims: B images, P points of all levels, M objects, L levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baimu.assign.max_iou import BACKGROUND
from baimu.ops.boxes import box_area, encode_distances
from baimu.targets import Targets


@torch.no_grad()
def point_assign(
    points: Sequence[Float[Tensor, "_p 2"]],
    targets: Targets,
    *,
    strides: Sequence[float],
    ranges: Sequence[tuple[float, float]],
    radius: float | None = None,
) -> Int[Tensor, "b p"]:
    """For each point the index of its object, −1 background; nothing is ignored.

    A point belongs to an object if it lies strictly inside its box (with ``radius``: inside the square of that many
    strides around the box's centre, clipped by the box) and the longest of its four distances to the sides is within
    its level's range, ends included. Of several objects it takes the smallest, the first of equals.
    """
    counts = torch.tensor([p.shape[0] for p in points], device=targets.boxes.device)
    limits = targets.boxes.new_tensor(ranges).repeat_interleave(counts, 0, output_size=sum(p.shape[0] for p in points))
    at = torch.cat(list(points))[:, None]  # (P, 1, 2)
    boxes = targets.boxes[:, None]  # (B, 1, M, 4)
    distances = encode_distances(at, boxes)  # (B, P, M, 4)
    longest = distances.amax(-1)
    inside = distances.amin(-1) > 0
    if radius is not None:
        reach = targets.boxes.new_tensor(strides).repeat_interleave(counts, 0, output_size=at.shape[0])[:, None, None]
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        low = torch.maximum(centre - reach * radius, boxes[..., :2])
        high = torch.minimum(centre + reach * radius, boxes[..., 2:])
        inside = torch.minimum(at - low, high - at).amin(-1) > 0
    fits = inside & (longest >= limits[:, None, 0]) & (longest <= limits[:, None, 1]) & targets.valid[:, None]
    area = box_area(boxes).expand(fits.shape).masked_fill(~fits, torch.inf)
    smallest, index = area.min(-1)
    return torch.where(smallest.isinf(), BACKGROUND, index)
