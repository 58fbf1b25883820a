"""ShuffleNets: everyone counts the layers of a branch; here a convolution and its norm are one."""

from __future__ import annotations

from baimu.weights.keys import COUNTERS, KeyTable, Route

_UNITS = tuple(
    (number, f"stage{stage}.{i}")
    for number, (stage, i) in enumerate((stage, i) for stage, count in ((2, 4), (3, 8), (4, 4)) for i in range(count))
)
"""The number of each unit, from 0, and our name of it."""


def _branch(branch: int, places: tuple[int, ...]) -> KeyTable:
    """Torchvision's: a convolution stands in each of ``places``, its norm behind it."""
    unit = rf"^(stage\d\.\d\.branch{branch})\."
    return tuple(
        (rf"{unit}{place + j}\.", rf"backbone.\1.{i}.{part}.")
        for i, place in enumerate(places)
        for j, part in enumerate(("conv", "norm"))
    )


TORCHVISION = Route(
    models=r"shufflenet_v2_.*",
    table=(
        (r"^conv1\.0\.", "backbone.stem.conv."),
        (r"^conv1\.1\.", "backbone.stem.norm."),
        *_branch(1, (0, 2)),
        *_branch(2, (0, 3, 5)),
        (r"^conv5\.0\.", "head.widen.conv."),
        (r"^conv5\.1\.", "head.widen.norm."),
        (r"^fc\.", "head.linear."),
    ),
    may_miss=(COUNTERS,),
)
MMPRETRAIN: KeyTable = (
    (r"^backbone\.conv1\.", "backbone.stem."),
    *((rf"^backbone\.layers\.{i}\.(\d)\.", rf"backbone.stage{i + 2}.\1.") for i in range(3)),
    (r"^head\.fc\.", "head.linear."),
    (r"\.bn\.", ".norm."),
)
MMPRETRAIN_V1 = Route(
    models=r"shufflenet_v1_.*",
    table=(
        (r"\.g_conv_1x1_(compress|expand)\.", r".\1."),
        (r"\.depthwise_conv3x3_bn\.", ".depthwise."),
        *MMPRETRAIN,
    ),
    arguments={"like": "openmmlab"},
    may_miss=(COUNTERS,),
)
MMPRETRAIN_V2 = Route(
    models=r"shufflenet_v2_.*",
    table=((r"^backbone\.layers\.3\.(conv|bn)\.", r"head.widen.\1."), *MMPRETRAIN),
    may_miss=(COUNTERS,),
)
MEGVII_V1 = Route(
    models=r"shufflenet_v1_.*",
    table=(
        (r"^first_conv\.0\.", "backbone.stem.conv."),
        (r"^first_conv\.1\.", "backbone.stem.norm."),
        *((rf"^features\.{number}\.", f"backbone.{unit}.") for number, unit in _UNITS),
        (r"\.branch_main_1\.0\.", ".compress.conv."),
        (r"\.branch_main_1\.1\.", ".compress.norm."),
        (r"\.branch_main_1\.3\.", ".depthwise.conv."),
        (r"\.branch_main_1\.4\.", ".depthwise.norm."),
        (r"\.branch_main_2\.0\.", ".expand.conv."),
        (r"\.branch_main_2\.1\.", ".expand.norm."),
        (r"^classifier\.0\.", "head.linear."),
    ),
    may_miss=(COUNTERS,),
)
"""Of the authors' ShuffleNet-Series."""

ROUTES = {
    "torchvision": (TORCHVISION,),
    "openmmlab": (MMPRETRAIN_V1, MMPRETRAIN_V2),
    "megvii": (MEGVII_V1,),
}
