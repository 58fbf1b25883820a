"""GoogLeNet and Inception v3: torchvision's names, which timm and mmpretrain share, with branches as sequences here."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.keys import COUNTERS, KeyTable, Route

AUXILIARY = r"^auxiliary\."
"""Training's own: files and networks without it are whole all the same."""
NORMS: KeyTable = ((r"\.bn\.", ".norm."),)

GOOGLENET = Route(
    models="googlenet",
    table=(
        *NORMS,
        (r"^fc\.", "head.linear."),
        (r"^aux(\d)\.", r"auxiliary.aux\1."),
        (r"^(conv\d|inception\d\w)\.", r"backbone.\1."),
    ),
    may_miss=(COUNTERS, AUXILIARY),
    may_stay=(AUXILIARY,),
)


def _branches() -> KeyTable:
    """Torchvision counts the convolutions of a branch from 1 in their names, and splits the last into a and b."""
    splits = tuple(
        (rf"\.(branch[^._]+)_{place + 1}{side}\.", rf".\1.{place}.{side}.") for place in (1, 2) for side in "ab"
    )
    steps = tuple((rf"\.(branch[^._]+)_{place + 1}\.", rf".\1.{place}.") for place in range(5))
    return (*steps, *splits, (r"\.branch_pool\.", ".branch_pool.1."))


def _names(prefix: str = "") -> KeyTable:
    """``prefix`` is what a library has before torchvision's."""
    return (
        (rf"^{prefix}fc\.", "head.linear."),
        (rf"^{prefix}AuxLogits\.", "auxiliary.aux1."),
        (rf"^{prefix}Conv2d_", "backbone.conv2d_"),
        (rf"^{prefix}Mixed_", "backbone.mixed_"),
        *NORMS,
        *_branches(),
    )


INCEPTION_V3 = Route(
    models="inception_v3",
    table=_names(),
    may_miss=(COUNTERS, AUXILIARY),
    may_stay=(AUXILIARY,),
)
OPENMMLAB = replace(
    INCEPTION_V3,
    table=_names(r"backbone\."),
    drop=(r"^data_preprocessor\.",),
)
ROUTES = {"torchvision": (GOOGLENET, INCEPTION_V3), "timm": (INCEPTION_V3,), "openmmlab": (OPENMMLAB,)}
