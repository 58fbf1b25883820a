"""HRNet: timm, mmdetection, mmsegmentation and the authors share the backbone's names; mmpretrain has its own head."""

from __future__ import annotations

import re

from baimu.weights.keys import COUNTERS, Route, State

_STEM = r"(conv[12]|bn[12]|layer1|transition\d|stage\d)"
_BIASES = r"^neck\.(downsample_layers\.\d|final_layer)\.conv\.bias$"


def without_biases(state: State) -> State:
    """mmpretrain's head has no bias before a norm. Where ours has one, it goes into the norm's mean: the same."""
    biases = {key: value for key, value in state.items() if re.search(_BIASES, key)}
    moved = {key.replace("conv.bias", "bn.running_mean"): bias for key, bias in biases.items()}
    kept = {key: value for key, value in state.items() if key not in biases}
    return {key: value - moved[key] if key in moved else value for key, value in kept.items()}


AUTHORS = Route(
    models=r"hrnet_.*",
    table=(
        (r"^classifier\.", "head.classifier.linear."),
        (r"^(incre_modules|downsamp_modules|final_layer)\.", r"head.\1."),
        (rf"^{_STEM}\.", r"backbone.\1."),
    ),
    may_miss=(COUNTERS,),
)
MMPRETRAIN = Route(
    models=r"hrnet_.*",
    table=(
        (r"^head\.fc\.", "head.classifier.linear."),
        (r"^neck\.increase_layers\.", "head.incre_modules."),
        (r"^neck\.downsample_layers\.(\d)\.conv\.", r"head.downsamp_modules.\1.0."),
        (r"^neck\.downsample_layers\.(\d)\.bn\.", r"head.downsamp_modules.\1.1."),
        (r"^neck\.final_layer\.conv\.", "head.final_layer.0."),
        (r"^neck\.final_layer\.bn\.", "head.final_layer.1."),
    ),
    arguments={"like": "openmmlab"},
    to_theirs=without_biases,
    may_miss=(COUNTERS,),
    older=((rf"^{_STEM}\.", r"backbone.\1."),),  # a file of the backbone alone
)
ROUTES = {"timm": (AUTHORS,), "openmmlab": (MMPRETRAIN,)}
