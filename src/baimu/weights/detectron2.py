"""Parameters of detectron2's model zoo: RetinaNet, Faster and Mask R-CNN on ResNet-FPN, and its ImageNet ResNets.

Written from detectron2's published code and not proved against a running detectron2. Its conventions: background last,
class and box rows by class as ours; RetinaNet's anchors of a cell are ordered (size, ratio), ours (ratio, size), so
that its output rows change places; the box head flattens (channel, row, column) as ours. Its own ResNets (MSRA) halve
maps in the first 1x1 and read BGR images that are centred but not scaled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from baimu.preprocess import Preprocess, imagenet
from baimu.weights.families import routes
from baimu.weights.keys import COUNTERS, Facts, KeyTable, Route, Source, State

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

CAFFE = Preprocess(mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), channel_order="bgr")
SCALED = (57.375, 57.12, 58.395)
"""Deviation of its ResNeXts, which were trained at FAIR and have their strides in the 3x3."""

BACKBONE: KeyTable = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
    (r"^backbone\.bottom_up\.stem\.conv1\.", "backbone.conv1."),
    *((rf"^backbone\.bottom_up\.res{i + 1}\.", f"backbone.layer{i}.") for i in range(1, 5)),
    (r"^backbone\.layer(\d)\.(\d+)\.shortcut\.norm\.", r"backbone.layer\1.\2.downsample.1."),
    (r"^backbone\.layer(\d)\.(\d+)\.shortcut\.", r"backbone.layer\1.\2.downsample.0."),
    (r"^backbone\.layer(\d)\.(\d+)\.conv(\d)\.norm\.", r"backbone.layer\1.\2.bn\3."),
)


def _fpn(finest: int) -> KeyTable:
    """Levels are named by the logarithm of their stride, ours counted from the finest."""
    parts = (("lateral", "lateral"), ("output", "output"))
    return tuple(
        (rf"^backbone\.fpn_{theirs}{level}\.", f"neck.{ours}.{level - finest}.conv.")
        for theirs, ours in parts
        for level in range(finest, 6)
    )


def _towers() -> KeyTable:
    """Convolutions and ReLUs take turns."""
    sides = (("cls_subnet", "class_tower"), ("bbox_subnet", "box_tower"))
    return tuple((rf"^head\.{a}\.{2 * i}\.", f"head.{b}.{i}.conv.") for a, b in sides for i in range(4))


RPN: KeyTable = (
    (r"^proposal_generator\.rpn_head\.conv\.", "rpn.conv.conv."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.objectness."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.regress."),
)
BOX_HEAD: KeyTable = (
    (r"^roi_heads\.box_head\.fc1\.", "head.fc1."),
    (r"^roi_heads\.box_head\.fc2\.", "head.fc2."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "head.classify."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "head.regress."),
)
MASK_HEAD: KeyTable = (
    *((rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.", f"mask_head.tower.{i}.conv.") for i in range(4)),
    (r"^roi_heads\.mask_head\.deconv\.", "mask_head.upsample."),
    (r"^roi_heads\.mask_head\.predictor\.", "mask_head.predict."),
)
NOT_PARAMETERS = (r"^pixel_(mean|std)$", r"(^|\.)anchor_generator\.cell_anchors\.\d$")

_BY_ANCHOR = r"^head\.(cls_score|bbox_pred)\."


def _transpose_anchors(first: int, second: int) -> Callable[[State], State]:
    """Rows of (first, second, rest) become rows of (second, first, rest) in RetinaNet's two output layers."""

    def swapped(value: Tensor) -> Tensor:
        return value.unflatten(0, (first, second, -1)).transpose(0, 1).flatten(0, 2)

    def change(state: State) -> State:
        return {
            key: swapped(value) if re.search(_BY_ANCHOR, key) and value.shape[0] % (first * second) == 0 else value
            for key, value in state.items()
        }

    return change


RETINANET = Route(
    models=r"retinanet_.*",
    table=(
        *BACKBONE,
        *_fpn(3),
        (r"^backbone\.top_block\.p6\.", "neck.coarse.0.conv."),
        (r"^backbone\.top_block\.p7\.", "neck.coarse.1.conv."),
        *_towers(),
        (r"^head\.cls_score\.", "head.classify."),
        (r"^head\.bbox_pred\.", "head.regress."),
    ),
    to_ours=_transpose_anchors(3, 3),
    to_theirs=_transpose_anchors(3, 3),
    may_miss=(COUNTERS,),
    drop=NOT_PARAMETERS,
)
FASTER_RCNN = Route(
    models=r"faster_rcnn_.*",
    table=(*BACKBONE, *_fpn(2), *RPN, *BOX_HEAD),
    may_miss=(COUNTERS,),
    drop=NOT_PARAMETERS,
)
MASK_RCNN = replace(FASTER_RCNN, models=r"mask_rcnn_.*", table=(*FASTER_RCNN.table, *MASK_HEAD))


def describe(stored: Stored) -> Facts:
    """Mean and deviation where the file holds them (always BGR); a deviation tells a ResNeXt, its stride in 3x3.

    Files for ImageNet hold none: those converted from torchvision name it as their author, and ResNeXts have groups.
    """
    preprocess = CAFFE
    if {"pixel_mean", "pixel_std"} <= stored.tensors.keys():
        mean, std = (stored.tensors[f"pixel_{part}"].flatten().tolist() for part in ("mean", "std"))
        preprocess = CAFFE.replace(mean=tuple(mean), std=tuple(std))
    elif stored.about.get("__author__") == "torchvision":
        preprocess = imagenet
    else:
        inner = [stored.tensors[key] for key in ("res2.0.conv2.weight", "res2_0_branch2b_w") if key in stored.tensors]
        if any(value.shape[0] != value.shape[1] for value in inner):
            preprocess = CAFFE.replace(std=SCALED)
    return Facts(preprocess=preprocess, arguments={"stride_in_3x3": set(preprocess.std) != {1.0}})


def wrap(state: State, facts: Facts) -> dict[str, Any]:
    """A network as it is; a backbone so that detectron2 looks for the names inside its detectors'."""
    if any(key.startswith(("backbone.", "proposal_generator.")) for key in state):
        return dict(state)
    rgb = facts.preprocess is not None and facts.preprocess.channel_order == "rgb"
    return {"model": state, "__author__": "torchvision" if rgb else "MSRA", "matching_heuristics": True}


SOURCE = Source(
    name="detectron2",
    routes=(RETINANET, FASTER_RCNN, MASK_RCNN, *routes("detectron2")),
    describe=describe,
    wrap=wrap,
)
