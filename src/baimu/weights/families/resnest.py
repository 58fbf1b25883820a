"""ResNeSt: the authors, timm and OpenMMLab share the names of its blocks, in front of which each has its deep stem."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.families import resnet_deep

TIMM = replace(resnet_deep.TIMM, models=r"resnest\d+.*")
OPENMMLAB = replace(resnet_deep.OPENMMLAB_D, models=TIMM.models)
ROUTES = {"timm": (TIMM,), "openmmlab": (OPENMMLAB,)}
