"""Set matching of DETR (2005.12872 §3.1): each object gets the one prediction that suits it best, all together.

Dims: B images, Q predictions, M objects (padded), K classes; leading dims (decoder layers) are matched one by one.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from baimu.assign.max_iou import BACKGROUND
from baimu.ops.boxes import cxcywh_to_xyxy, paired_iou, xyxy_to_cxcywh
from baimu.targets import Targets

_EXTREME = 1e6  # beyond all real costs, and finite: the solver refuses a matrix without a finite solution


@torch.no_grad()
def hungarian_assign(
    logits: Float[Tensor, "*l b q k"],
    boxes: Float[Tensor, "*l b q 4"],
    targets: Targets,
    *,
    weights: tuple[float, float, float] = (1.0, 5.0, 2.0),
) -> Int[Tensor, "*l b q"]:
    """For each prediction the index of its object, −1 background, such that the total :func:`set_cost` is smallest.

    One to one: as many predictions are matched as there are objects, or all of them where the objects are more.
    """
    return match(set_cost(logits, boxes, targets, weights))


def set_cost(
    logits: Float[Tensor, "*l b q k"],
    boxes: Float[Tensor, "*l b q 4"],
    targets: Targets,
    weights: tuple[float, float, float],
) -> Float[Tensor, "*l b q m"]:
    """What it costs that a prediction answers for an object: ``−w₁ p(class) + w₂ L1 − w₃ GIoU``, inf on padding.

    ``logits`` have K + 1 columns, background last; ``boxes`` are cxcywh in 0…1 of the valid image, on which L1 is
    taken (summed over the four); GIoU is taken in pixels.
    """
    by_class, by_distance, by_overlap = weights
    scale = targets.sizes[:, None, [1, 0, 1, 0]].to(boxes.dtype)
    shape = (*boxes.shape[:-1], targets.labels.shape[1])
    labels = targets.labels.clamp(min=0)[:, None].expand(shape)
    probability = logits.float().softmax(-1).gather(-1, labels)

    wanted = xyxy_to_cxcywh(targets.boxes / scale)
    distance = (boxes[..., None, :] - wanted[:, None]).abs().sum(-1)
    pixels = cxcywh_to_xyxy(boxes * scale)[..., None, :]
    overlap = paired_iou(pixels.expand(*shape, 4), targets.boxes[:, None].expand(*shape, 4), "giou")
    cost = by_distance * distance - by_class * probability - by_overlap * overlap
    return cost.masked_fill(~targets.valid[:, None], torch.inf)


@torch.no_grad()
def match(cost: Float[Tensor, "*l b q m"]) -> Int[Tensor, "*l b q"]:
    """The cheapest one-to-one matching of each (Q, M) matrix: each row's column, or −1.

    A column of +inf is padding. The solver runs on the host: one transfer there and one back, whatever the number of
    matrices. Among equal optima it takes the same one each time. A cost that is NaN counts as the smallest of all, so
    that a prediction that is not a number is matched and shows in the loss, where training stops and says so.
    """
    padding = cost.isposinf()
    cost = cost.nan_to_num(nan=-_EXTREME, posinf=_EXTREME, neginf=-_EXTREME).masked_fill(padding, torch.inf)
    matrices = cost.flatten(0, -3).cpu().numpy()
    index = np.full(matrices.shape[:2], BACKGROUND)
    for row, matrix in zip(index, matrices, strict=True):
        real = np.flatnonzero(np.isfinite(matrix).all(0))
        predictions, columns = linear_sum_assignment(matrix[:, real])
        row[predictions] = real[columns]
    return torch.from_numpy(index).to(cost.device).reshape(cost.shape[:-1])
