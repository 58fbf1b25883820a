"""Box regression losses: elementwise on deltas, one value a pair of boxes on overlaps. All compute in float32."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from baimu.ops.boxes import paired_iou


def l1_loss(prediction: Float[Tensor, "*n"], target: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """``|d|``."""
    return (prediction.float() - target.float()).abs()


def smooth_l1_loss(
    prediction: Float[Tensor, "*n"], target: Float[Tensor, "*n"], beta: float = 1.0
) -> Float[Tensor, "*n"]:
    """``d² / (2 beta)`` below ``beta``, ``|d| − beta / 2`` above (Fast R-CNN, 1504.08083); ``beta`` 0 is L1."""
    return F.smooth_l1_loss(prediction.float(), target.float(), reduction="none", beta=beta)


def iou_loss(boxes: Float[Tensor, "*n 4"], target: Float[Tensor, "*n 4"], eps: float = 1e-6) -> Float[Tensor, "*n"]:
    """``−ln IoU`` of xyxy boxes, IoU floored at ``eps`` (UnitBox, 1608.01471): 13.8 for boxes that do not meet."""
    return -paired_iou(boxes.float(), target.float(), "iou", eps).clamp(min=eps).log()


def linear_iou_loss(boxes: Float[Tensor, "*n 4"], target: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """``1 − IoU``, in 0…1."""
    return 1 - paired_iou(boxes.float(), target.float(), "iou")


def giou_loss(boxes: Float[Tensor, "*n 4"], target: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """``1 − GIoU``, in 0…2, with a gradient for boxes that do not meet (1902.09630)."""
    return 1 - paired_iou(boxes.float(), target.float(), "giou")


def diou_loss(boxes: Float[Tensor, "*n 4"], target: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """``1 − IoU + centre distance² / enclosing diagonal²`` (1911.08287 Eq. 7)."""
    return 1 - paired_iou(boxes.float(), target.float(), "diou")


def ciou_loss(boxes: Float[Tensor, "*n 4"], target: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """DIoU loss plus ``alpha v``, the aspect term (1911.08287 Eq. 10); alpha takes no gradient."""
    return 1 - paired_iou(boxes.float(), target.float(), "ciou")
