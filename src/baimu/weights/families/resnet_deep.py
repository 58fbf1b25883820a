"""ResNets with three 3x3 convolutions in front (v1c, v1d, v1s), and what other families with that stem need."""

from __future__ import annotations

import re
from dataclasses import replace

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

HEAD_AND_LAYERS: KeyTable = ((r"^fc\.", "head.linear."), (r"^(layer\d)\.", r"backbone.\1."))
TIMM_STEM: KeyTable = (
    (r"^bn1\.", "backbone.bn3."),  # the last of the stem
    (r"^conv1\.0\.", "backbone.conv1."),
    (r"^conv1\.1\.", "backbone.bn1."),
    (r"^conv1\.3\.", "backbone.conv2."),
    (r"^conv1\.4\.", "backbone.bn2."),
    (r"^conv1\.6\.", "backbone.conv3."),
)
"""timm's, and that of the authors of ResNeSt and Res2Net: a sequence, whose last norm stands outside."""
OPENMMLAB_STEM: KeyTable = (
    *((rf"^backbone\.stem\.{i}\.conv\.", f"backbone.conv{i + 1}.") for i in range(3)),
    *((rf"^backbone\.stem\.{i}\.bn\.", f"backbone.bn{i + 1}.") for i in range(3)),
)
"""mmpretrain's."""
OPENMMLAB_OLDER: KeyTable = (
    (r"^(stem|conv1|bn1|layer\d)\.", r"backbone.\1."),  # a file of the backbone alone
    *((rf"^backbone\.stem\.{3 * i + 1}\.(\w+)$", rf"backbone.stem.{i}.bn.\1") for i in range(3)),
    *((rf"^backbone\.stem\.{3 * i}\.(weight|bias)$", rf"backbone.stem.{i}.conv.\1") for i in range(3)),
)
"""mmdetection's and mmsegmentation's stem: convolution, norm and ReLU, three places a layer."""
FIRST_SHORTCUT: KeyTable = (
    (r"^backbone\.layer1\.0\.downsample\.1\.", "backbone.layer1.0.downsample.2."),
    (r"^backbone\.layer1\.0\.downsample\.0\.", "backbone.layer1.0.downsample.1."),
)
"""Where shortcuts average, mmpretrain has nothing to average in the first, whose map keeps its size."""


def without_empty_pooling(state: State) -> State:
    """mmdetection and mmsegmentation count a pooling in the first shortcut too: one place less, as in mmpretrain."""
    first = "backbone.layer1.0.downsample."
    if not any(key.startswith(f"{first}2.") for key in state):
        return state
    return {re.sub(rf"^{re.escape(first)}(\d)", lambda m: f"{first}{int(m[1]) - 1}", k): v for k, v in state.items()}


TIMM = Route(models=r"resnet\d+_v1[cds]", table=(*HEAD_AND_LAYERS, *TIMM_STEM), may_miss=(COUNTERS,))
OPENMMLAB_C = Route(
    models=r"resnet\d+_v1[cs]",
    table=((r"^head\.fc\.", "head.linear."), *OPENMMLAB_STEM),
    may_miss=(COUNTERS,),
    older=OPENMMLAB_OLDER,
)
OPENMMLAB_D = replace(
    OPENMMLAB_C,
    models=r"resnet\d+_v1d",
    table=(*OPENMMLAB_C.table, *FIRST_SHORTCUT),
    to_ours=without_empty_pooling,
)
ROUTES = {"timm": (TIMM,), "openmmlab": (OPENMMLAB_C, OPENMMLAB_D)}
