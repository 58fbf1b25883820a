"""Non-maximum suppression. Dims: B images, N candidates, D detections kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Float, Int
from torch import Tensor

from baimu.ops.top import top

Nms = Callable[[Tensor, Tensor, Tensor, float, int], "Detected"]
"""boxes (B, N, 4), scores (B, N), labels (B, N), IoU threshold, D → :class:`Detected`."""

_ONE_CALL = 1000
"""Up to this many boxes on a CPU one quadratic call beats one call a group (measured: 1.3 ms at 1000 boxes)."""


class Detected(NamedTuple):
    """Final detections of a batch, best first, padded to D: boxes 0, score 0 and label −1 beyond ``counts``.

    ``masks``, of methods that make them, are probabilities on a grid that spans each detection's box.
    """

    boxes: Float[Tensor, "b d 4"]
    scores: Float[Tensor, "b d"]
    labels: Int[Tensor, "b d"]
    counts: Int[Tensor, " b"]
    masks: Float[Tensor, "b d s s"] | None = None

    def cut(self, count: int) -> Detected:
        """Its first ``count`` places; as many zeros and −1 are added where it has fewer."""
        more = count - self.labels.shape[1]
        if more <= 0:
            masks = None if self.masks is None else self.masks[:, :count]
            return Detected(self.boxes[:, :count], self.scores[:, :count], self.labels[:, :count], self.counts, masks)
        boxes, scores = F.pad(self.boxes, (0, 0, 0, more)), F.pad(self.scores, (0, more))
        masks = None if self.masks is None else F.pad(self.masks, (0, 0, 0, 0, 0, more))
        return Detected(boxes, scores, F.pad(self.labels, (0, more), value=-1), self.counts, masks)


def grouped_nms(
    boxes: Float[Tensor, "n 4"], scores: Float[Tensor, " n"], groups: Int[Tensor, " n"], iou_threshold: float
) -> Int[Tensor, " k"]:
    """Indices of the boxes that survive greedy NMS within their group, in no particular order.

    A box goes when its IoU with a better one of the same group is > ``iou_threshold``; of equal scores the earlier
    box is the better. All in float64 (as fast): the offset that parts the groups costs no bit of any IoU, and an IoU
    of exactly 3/5 is not > 0.6, as it is in float32.
    """
    boxes, scores = boxes.double(), scores.double()
    if boxes.is_cuda or boxes.shape[0] <= _ONE_CALL:
        span = boxes.max() - boxes.min() + 1 if boxes.shape[0] else 1.0
        return torchvision.ops.nms(boxes + (groups * span)[:, None], scores, iou_threshold)
    # The quadratic kernel over all groups at once would cost far more than these few calls.
    order = torch.argsort(groups, stable=True)
    sizes = torch.unique_consecutive(groups[order], return_counts=True)[1].tolist()
    kept = [part[torchvision.ops.nms(boxes[part], scores[part], iou_threshold)] for part in order.split(sizes)]
    return torch.cat(kept)


def keep_best(
    boxes: Float[Tensor, "b n 4"],
    scores: Float[Tensor, "b n"],
    groups: Int[Tensor, "b n"],
    iou_threshold: float,
) -> Float[Tensor, "b n"]:
    """The scores with those of suppressed candidates set to 0. Candidates of score <= 0, and boxes that are not
    finite, do not take part.

    Without gradients it is one operator, ``baimu::keep_best``, to whatever makes a graph of a model: what it finds in
    between has no fixed shape.
    """
    keep = _keep_best if torch.is_grad_enabled() else _keep_best_operator
    return keep(boxes, scores, groups, iou_threshold)


def _keep_best(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    image, position = ((scores > 0) & boxes.sum(-1).isfinite()).nonzero(as_tuple=True)
    group = groups[image, position]
    group = group + image * (group.max() + 1 if group.numel() else 1)
    kept = grouped_nms(boxes[image, position], scores[image, position], group, iou_threshold)
    image, position = image[kept], position[kept]
    survivors = torch.zeros_like(scores)
    survivors[image, position] = scores[image, position]
    return survivors


_keep_best_operator = torch.library.custom_op(
    "baimu::keep_best",
    _keep_best,
    mutates_args=(),
    schema="(Tensor boxes, Tensor scores, Tensor groups, float iou_threshold) -> Tensor",
)


@_keep_best_operator.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores)


def multiclass_nms(
    boxes: Float[Tensor, "b n 4"],
    scores: Float[Tensor, "b n"],
    labels: Int[Tensor, "b n"],
    iou_threshold: float,
    max_detections: int,
) -> Detected:
    """Greedy NMS within each class of each image; the best ``max_detections`` an image remain, padded."""
    return take_best(boxes, keep_best(boxes, scores, labels, iou_threshold), labels, max_detections)


def no_nms(
    boxes: Float[Tensor, "b n 4"],
    scores: Float[Tensor, "b n"],
    labels: Int[Tensor, "b n"],
    iou_threshold: float,
    max_detections: int,
) -> Detected:
    """The best ``max_detections`` an image, padded, for models that predict no object twice; ``iou_threshold`` is not
    read. Candidates of score <= 0, and boxes that are not finite, do not take part."""
    del iou_threshold
    real = (scores > 0) & boxes.sum(-1).isfinite()
    return take_best(boxes, torch.where(real, scores, 0.0), labels, max_detections)


def take_best(
    boxes: Float[Tensor, "b n 4"], scores: Float[Tensor, "b n"], labels: Int[Tensor, "b n"], max_detections: int
) -> Detected:
    """The candidates of the best scores above 0, padded to ``max_detections``."""
    scores, best = top(scores, max_detections)
    valid = scores > 0
    boxes = boxes.gather(1, best[..., None].expand(-1, -1, 4)).masked_fill(~valid[..., None], 0)
    labels = labels.gather(1, best).masked_fill(~valid, -1)
    return Detected(boxes, scores, labels, valid.sum(1)).cut(max_detections)
