"""Parameters of fast-reid: its bag of tricks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baimu.preprocess import imagenet
from baimu.weights.keys import COUNTERS, Facts, Route, Source

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

REID = Route(
    models=r"reid_baseline_r50",
    table=(
        (r"^heads\.bottleneck\.0\.", "neck.norm."),
        (r"^heads\.weight$", "head.classify.weight"),
    ),
    arguments={"like": "fastreid"},
    may_miss=(COUNTERS,),
    drop=(r"^pixel_(mean|std)$",),
    older=((r"^heads\.classifier\.weight$", "heads.weight"),),
    same=(r"^backbone\.(conv1|bn1|layer[1-4])\.",),
)


def describe(stored: Stored) -> Facts:
    """Images of 256 x 128 in ImageNet's mean and deviation, RGB."""
    del stored
    return Facts(preprocess=imagenet.replace(resize="stretch", size=256, width=128, pad_to=1))


SOURCE = Source(name="fastreid", routes=(REID,), describe=describe)
