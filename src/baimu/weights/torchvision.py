"""Parameter names of torchvision's detectors."""

from __future__ import annotations

from baimu.weights.keys import KeyTable

DETECTION: KeyTable = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d+)\.0\.", r"neck.lateral.\1.conv."),
    (r"^backbone\.fpn\.layer_blocks\.(\d+)\.0\.", r"neck.output.\1.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p6\.", "neck.coarse.0.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p7\.", "neck.coarse.1.conv."),
    (r"^head\.classification_head\.cls_logits\.", "head.classify."),
    (r"^head\.regression_head\.bbox_(pred|reg)\.", "head.regress."),
    (r"^head\.regression_head\.bbox_ctrness\.", "head.center."),
    (r"^rpn\.head\.conv\.0\.0\.", "rpn.conv.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.objectness."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.regress."),
    (r"^roi_heads\.box_head\.fc6\.", "head.fc1."),
    (r"^roi_heads\.box_head\.fc7\.", "head.fc2."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "head.classify."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.regress."),
)

RETINANET: KeyTable = (
    *DETECTION,
    (r"^head\.classification_head\.conv\.(\d+)\.0\.", r"head.class_tower.\1.conv."),
    (r"^head\.regression_head\.conv\.(\d+)\.0\.", r"head.box_tower.\1.conv."),
)
"""The towers hold (convolution, ReLU) pairs."""


def _fcos_tower(theirs: str, ours: str) -> KeyTable:
    """FCOS's towers are flat: convolution, group norm, ReLU, three places a layer."""
    return tuple(
        (rf"^head\.{theirs}\.conv\.{3 * i + j}\.", f"head.{ours}.{i}.{part}.")
        for i in range(4)
        for j, part in enumerate(("conv", "norm"))
    )


FCOS: KeyTable = (
    *DETECTION,
    *_fcos_tower("classification_head", "class_tower"),
    *_fcos_tower("regression_head", "box_tower"),
)


def background_last(state: dict) -> dict:
    """torchvision's box head has background first in its scores, and a box for it; ours has it last, without a box."""
    state = dict(state)
    for part in ("weight", "bias"):
        scores, boxes = f"roi_heads.box_predictor.cls_score.{part}", f"roi_heads.box_predictor.bbox_pred.{part}"
        state[scores] = state[scores].roll(-1, 0)
        state[boxes] = state[boxes][4:]
    return state
