"""EfficientNet: timm and torchvision have the rows of the paper's table, mmpretrain joins those of equal stride."""

from __future__ import annotations

import math

from baimu.weights.families.mobilenet import MMPRETRAIN_PARTS, TIMM_HEAD, TIMM_STEM, timm_blocks, torchvision_blocks
from baimu.weights.keys import COUNTERS, Route

DEPTHS = (1.0, 1.1, 1.2, 1.4, 1.8, 2.2, 2.6, 3.1)


def _timm(models: str, **arguments: str) -> Route:
    return Route(
        models=models,
        table=(
            *TIMM_STEM,
            *timm_blocks("0", "depthwise", "project"),
            *timm_blocks("[1-6]", "expand", "depthwise", "project"),
            *TIMM_HEAD,
        ),
        arguments=arguments,
        may_miss=(COUNTERS,),
    )


TORCHVISION = Route(
    models=r"efficientnet_b\d",
    table=(
        (r"^features\.0\.0\.", "backbone.stem.conv."),
        (r"^features\.0\.1\.", "backbone.stem.norm."),
        (r"^features\.8\.0\.", "head.widen.conv."),
        (r"^features\.8\.1\.", "head.widen.norm."),
        (r"^classifier\.1\.", "head.linear."),
        *((rf"^features\.{row + 1}\.(\d+)\.block\.", rf"backbone.blocks.{row}.\1.") for row in range(7)),
        *torchvision_blocks("0", "depthwise", "squeeze", "project"),
        *torchvision_blocks("[1-6]", "expand", "depthwise", "squeeze", "project"),
    ),
    may_miss=(COUNTERS,),
)


def _mmpretrain(scale: int) -> Route:
    """Its layers 4 and 5 hold two rows each; blocks of the second count on from those of the first."""
    joined = []
    for layer, row, before, after in ((4, 3, 3, 3), (5, 5, 4, 1)):
        first, second = (math.ceil(DEPTHS[scale] * repeats) for repeats in (before, after))
        joined += [
            (rf"^backbone\.layers\.{layer}\.{first + i}\.", f"backbone.blocks.{row + 1}.{i}.") for i in range(second)
        ]
        joined.append((rf"^backbone\.layers\.{layer}\.", f"backbone.blocks.{row}."))
    return Route(
        models=f"tf_efficientnet_b{scale}",
        table=(
            (r"^backbone\.layers\.0\.", "backbone.stem."),
            *((rf"^backbone\.layers\.{row + 1}\.", f"backbone.blocks.{row}.") for row in range(3)),
            *joined,
            (r"^backbone\.layers\.6\.", "head.widen."),
            (r"^head\.fc\.", "head.linear."),
            *MMPRETRAIN_PARTS,
        ),
        may_miss=(COUNTERS,),
    )


ROUTES = {
    "torchvision": (TORCHVISION,),
    "timm": (_timm(r"efficientnet_b\d", like="timm"), _timm(r"tf_efficientnet_b\d")),
    "openmmlab": tuple(_mmpretrain(scale) for scale in range(len(DEPTHS))),
}
