"""Parameters of torchvision: its detectors and classifiers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from baimu.errors import CheckpointError
from baimu.preprocess import imagenet
from baimu.weights.families import routes
from baimu.weights.keys import COUNTERS, Facts, KeyTable, Route, Source, State

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

FPN: KeyTable = (
    (r"^backbone\.fpn\.inner_blocks\.(\d+)\.0\.", r"neck.lateral.\1.conv."),
    (r"^backbone\.fpn\.layer_blocks\.(\d+)\.0\.", r"neck.output.\1.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p6\.", "neck.coarse.0.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p7\.", "neck.coarse.1.conv."),
    (r"^backbone\.body\.", "backbone."),
)
"""The body comes last: turned round it comes first, before there are other names that begin with ``backbone``."""
DENSE: KeyTable = (
    (r"^head\.classification_head\.cls_logits\.", "head.classify."),
    (r"^head\.regression_head\.bbox_reg\.", "head.regress."),
)
RPN: KeyTable = (
    (r"^rpn\.head\.conv\.0\.0\.", "rpn.conv.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.objectness."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.regress."),
)
BOX_HEAD: KeyTable = (
    (r"^roi_heads\.box_head\.fc6\.", "head.fc1."),
    (r"^roi_heads\.box_head\.fc7\.", "head.fc2."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "head.classify."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.regress."),
)
MASK_HEAD: KeyTable = (
    (r"^roi_heads\.mask_head\.(\d)\.0\.", r"mask_head.tower.\1.conv."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.upsample."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.predict."),
)
OLDER: KeyTable = (
    (r"^backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(weight|bias)$", r"backbone.fpn.\1_blocks.\2.0.\3"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    *((rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.", f"roi_heads.mask_head.{i}.0.") for i in range(4)),
)
"""Names before torchvision 0.13, which most published files have: convolutions stood alone."""


def _retinanet_before_013() -> KeyTable:
    """Towers were flat: convolution, ReLU, two places a layer."""
    return tuple((rf"^head\.(\w+_head)\.conv\.{2 * i}\.(weight|bias)$", rf"head.\1.conv.{i}.0.\2") for i in range(4))


def _fcos_tower(theirs: str, ours: str) -> KeyTable:
    """FCOS's towers are flat: convolution, group norm, ReLU, three places a layer."""
    return tuple(
        (rf"^head\.{theirs}\.conv\.{3 * i + j}\.", f"head.{ours}.{i}.{part}.")
        for i in range(4)
        for j, part in enumerate(("conv", "norm"))
    )


_SCORES, _BOXES = r"^roi_heads\.box_predictor\.cls_score\.", r"^roi_heads\.box_predictor\.bbox_pred\."
_MASKS = r"^roi_heads\.mask_predictor\.mask_fcn_logits\."


def background_last(state: State) -> State:
    """torchvision's box head has background first in its scores, and a box and a mask for it; ours has it last, without
    box and mask."""
    moved = {key: value.roll(-1, 0) if re.search(_SCORES, key) else value for key, value in state.items()}
    moved = {key: value[4:] if re.search(_BOXES, key) else value for key, value in moved.items()}
    return {key: value[1:] if re.search(_MASKS, key) else value for key, value in moved.items()}


def background_first(state: State) -> State:
    """The inverse of :func:`background_last`. Background's box and mask, which nothing reads, become zero."""
    moved = {key: value.roll(1, 0) if re.search(_SCORES, key) else value for key, value in state.items()}
    unread = {key: 4 if re.search(_BOXES, key) else 1 if re.search(_MASKS, key) else 0 for key in state}
    return {
        key: torch.cat([torch.zeros_like(value[: unread[key]]), value]) if unread[key] else value
        for key, value in moved.items()
    }


_SCALE = re.compile(r"^head\.scales\.\d$")


def with_scales(state: State) -> State:
    """torchvision's FCOS learns no scale a level: ours are 1."""
    return state | {f"head.scales.{level}": torch.ones(()) for level in range(5)}


def without_scales(state: State) -> State:
    """The inverse of :func:`with_scales`; a scale that was learned has no place in torchvision's FCOS."""
    learned = [key for key, value in state.items() if _SCALE.match(key) and value != 1]
    if learned:
        raise CheckpointError(f"torchvision's FCOS has no scale a level; here they are learned: {', '.join(learned)}")
    return {key: value for key, value in state.items() if not _SCALE.match(key)}


RETINANET = Route(
    models=r"retinanet_.*",
    table=(
        *FPN,
        *DENSE,
        (r"^head\.classification_head\.conv\.(\d+)\.0\.", r"head.class_tower.\1.conv."),
        (r"^head\.regression_head\.conv\.(\d+)\.0\.", r"head.box_tower.\1.conv."),
    ),
    arguments={"like": "torchvision"},
    may_miss=(COUNTERS,),
    older=(*OLDER, *_retinanet_before_013()),
)
FCOS = Route(
    models=r"fcos_center_.*",
    table=(
        *FPN,
        *DENSE,
        (r"^head\.regression_head\.bbox_ctrness\.", "head.center."),
        *_fcos_tower("classification_head", "class_tower"),
        *_fcos_tower("regression_head", "box_tower"),
    ),
    arguments={"like": "torchvision"},
    to_ours=with_scales,
    to_theirs=without_scales,
    may_miss=(COUNTERS,),
    older=OLDER,
    same=(_SCALE.pattern,),
)
FASTER_RCNN = Route(
    models=r"faster_rcnn_.*",
    table=(*FPN, *RPN, *BOX_HEAD),
    arguments={"like": "torchvision"},
    to_ours=background_last,
    to_theirs=background_first,
    may_miss=(COUNTERS,),
    older=OLDER,
)
MASK_RCNN = replace(FASTER_RCNN, models=r"mask_rcnn_.*", table=(*FASTER_RCNN.table, *MASK_HEAD))


AUXILIARY: KeyTable = (
    (r"^aux_classifier\.0\.", "auxiliary.convs.0.conv."),
    (r"^aux_classifier\.1\.", "auxiliary.convs.0.norm."),
    (r"^aux_classifier\.4\.", "auxiliary.classify."),
)
FCN_RESNET = Route(
    models=r"fcn_r\d+",
    table=(
        *AUXILIARY,
        (r"^classifier\.0\.", "head.convs.0.conv."),
        (r"^classifier\.1\.", "head.convs.0.norm."),
        (r"^classifier\.4\.", "head.classify."),
    ),
    arguments={"like": "torchvision"},
    may_miss=(COUNTERS,),
    same=(r"^backbone\.(?!body\.|fpn)",),
)
DEEPLABV3 = replace(
    FCN_RESNET,
    models=r"deeplabv3_r\d+",
    table=(
        *AUXILIARY,
        *(
            pair
            for i, part in enumerate(("conv", "norm"))
            for pair in (
                (rf"^classifier\.0\.convs\.([0-3])\.{i}\.", rf"head.aspp.branches.\1.{part}."),
                (rf"^classifier\.0\.convs\.4\.{i + 1}\.", f"head.aspp.mean.{part}."),
                (rf"^classifier\.0\.project\.{i}\.", f"head.aspp.project.{part}."),
                (rf"^classifier\.{i + 1}\.", f"head.refine.{part}."),
            )
        ),
        (r"^classifier\.4\.", "head.classify."),
    ),
)


def describe(stored: Stored) -> Facts:
    """Strides in the 3x3; detectors normalise images themselves, as ImageNet, classifiers leave it open. Segmenters
    were scored on shorter sides of 520."""
    detector = any(key.startswith("backbone.body.") for key in stored.tensors)
    segmenter = {"backbone.conv1.weight", "classifier.4.weight"} <= stored.tensors.keys()
    preprocess = imagenet.replace(size=520, max_size=2080, pad_to=1) if segmenter else imagenet if detector else None
    return Facts(preprocess=preprocess, arguments={"stride_in_3x3": True})


SOURCE = Source(
    name="torchvision",
    routes=(RETINANET, FCOS, FASTER_RCNN, MASK_RCNN, FCN_RESNET, DEEPLABV3, *routes("torchvision")),
    describe=describe,
)
