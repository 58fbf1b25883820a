"""What dense heads share: maps to rows of predictions, and the choice of candidates. Dims as in the detectors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baimu.detection.detector import Candidates
from baimu.ops.boxes import clip_boxes
from baimu.ops.top import top


def flatten_map(x: Float[Tensor, "b ak h w"], channels: int) -> Float[Tensor, "b p k"]:
    """A head's map as rows in the order (row, column, anchor); a view where the map is channels-last."""
    batch = x.shape[0]
    return x.permute(0, 2, 3, 1).reshape(batch, -1, channels)


def best_pairs(
    logits: Float[Tensor, "b p k"], limit: int
) -> tuple[Float[Tensor, "b n"], Int[Tensor, "b n"], Int[Tensor, "b n"]]:
    """The ``limit`` best (prior, class) pairs of one level: their logits, priors and classes.

    Exactly the top pairs without sorting, or squashing, all P * K of them: a pair among the best N can only belong to
    a prior among the N with the best class each.
    """
    classes = logits.shape[2]
    priors = top(logits.amax(2), limit).indices
    rows = logits.gather(1, priors[..., None].expand(-1, -1, classes)).flatten(1)
    best, place = top(rows, limit)
    return best, priors.gather(1, place // classes), place % classes


def take(rows: Float[Tensor, "b p d"], index: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
    """Row ``index[b, n]`` of each image."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))


def join_levels(boxes: list[Tensor], scores: list[Tensor], labels: list[Tensor], sizes: Tensor) -> Candidates:
    """The candidates of all levels, clipped to their images; what lies wholly outside has nothing left and scores 0."""
    box = clip_boxes(torch.cat(boxes, 1), sizes)
    inside = (box[..., 2:] > box[..., :2]).all(-1)
    return Candidates(box, torch.cat(scores, 1) * inside, torch.cat(labels, 1))
