"""Parameters of facebookresearch/detr, Meta AI's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baimu.preprocess import imagenet
from baimu.weights.keys import COUNTERS, Facts, Route, Source

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

DETR = Route(
    models=r"detr_.*",
    table=(
        (r"^backbone\.0\.body\.", "backbone."),
        (r"^input_proj\.", "project."),
        (r"^query_embed\.weight$", "queries"),
        (r"^class_embed\.", "head.classify."),
        (r"^bbox_embed\.layers\.0\.", "head.box_tower.0."),
        (r"^bbox_embed\.layers\.1\.", "head.box_tower.2."),
        (r"^bbox_embed\.layers\.2\.", "head.regress."),
        (r"^transformer\.(encoder|decoder)\.", r"\1."),
        (r"\.self_attn\.", ".attention."),
        (r"\.multihead_attn\.", ".cross_attention."),
        (r"\.linear1\.", ".feedforward.up."),
        (r"\.linear2\.", ".feedforward.down."),
    ),
    may_miss=(COUNTERS,),
)
"""Their class layer has an output for each category id 0…90 of COCO, used or not, and background last."""


def describe(stored: Stored) -> Facts:
    """RGB, ImageNet's mean and deviation, padding of any size, which is masked; torchvision's backbone."""
    del stored
    return Facts(preprocess=imagenet.replace(pad_to=1), arguments={"stride_in_3x3": True})


SOURCE = Source(
    name="detr",
    routes=(DETR,),
    describe=describe,
)
