"""SE-ResNet, SE-ResNeXt, SENet-154: timm's two layouts and mmpretrain's."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.families.resnet import OPENMMLAB, RESNET
from baimu.weights.families.resnet_deep import HEAD_AND_LAYERS, TIMM_STEM
from baimu.weights.keys import COUNTERS, Route

TIMM_PLUGIN = ((r"\.se\.fc1\.", ".plugin.reduce."), (r"\.se\.fc2\.", ".plugin.expand."))

TIMM = replace(RESNET, models=r"seresne(t|xt)\d+(_32x4d)?", table=(*RESNET.table, *TIMM_PLUGIN))
TIMM_154 = Route(models="senet154", table=(*HEAD_AND_LAYERS, *TIMM_STEM, *TIMM_PLUGIN), may_miss=(COUNTERS,))
LEGACY = Route(
    models=r"se\w+_caffe",
    table=(
        (r"^last_linear\.", "head.linear."),
        (r"^layer0\.(conv\d|bn\d)\.", r"backbone.\1."),
        (r"^(layer[1-4])\.", r"backbone.\1."),
        (r"\.se_module\.fc1\.", ".plugin.reduce."),
        (r"\.se_module\.fc2\.", ".plugin.expand."),
    ),
    may_miss=(COUNTERS,),
)
"""The published weights as Cadene converted them from Caffe; timm calls them ``legacy_*``."""
MMPRETRAIN = replace(
    OPENMMLAB,
    models=TIMM.models,
    table=(
        *OPENMMLAB.table,
        (r"\.se_layer\.conv1\.conv\.", ".plugin.reduce."),
        (r"\.se_layer\.conv2\.conv\.", ".plugin.expand."),
    ),
)
ROUTES = {"timm": (TIMM, TIMM_154, LEGACY), "openmmlab": (MMPRETRAIN,)}
