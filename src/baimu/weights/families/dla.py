"""DLA: timm and the authors (ucbdrive/dla, CenterNet, FairMOT) share all names, but for projections never used."""

from __future__ import annotations

import re

from baimu.weights.keys import COUNTERS, Route, State

_PROJECTION = re.compile(r"^(.*)\.project\.\d\.\w+$")


def used(state: State) -> State:
    """Without the projections of trees that consist of trees, which the authors' network has and does not use; its
    classifier, a 1x1 convolution, as the matrix of a linear layer."""

    def is_idle(key: str) -> bool:
        projection = _PROJECTION.match(key)
        return projection is not None and any(other.startswith(f"{projection[1]}.tree1.tree1.") for other in state)

    return {k: v.flatten(1) if k == "fc.weight" else v for k, v in state.items() if not is_idle(k)}


def with_convolution(state: State) -> State:
    """The classifier as a 1x1 convolution."""
    return {key: value[..., None, None] if key == "fc.weight" else value for key, value in state.items()}


DLA = Route(
    models=r"dla\d+.*",
    table=(
        (r"^fc\.", "head.linear."),
        (r"^(base_layer|level\d)\.", r"backbone.\1."),
        (r"\.root\.bn\.", ".root.norm."),
    ),
    to_ours=used,
    to_theirs=with_convolution,
    may_miss=(COUNTERS,),
)
ROUTES = {"timm": (DLA,)}
