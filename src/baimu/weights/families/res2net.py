"""Res2Net: the authors, timm and OpenMMLab share the names of its blocks; v1d has the deep stem of each."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.families import resnet, resnet_deep

TIMM = replace(resnet.RESNET, models=r"res2net\d+_\d+w_\ds|res2next50")
TIMM_V1D = replace(resnet_deep.TIMM, models=r"res2net\d+_v1d_\d+w_\ds")
OPENMMLAB = replace(resnet.OPENMMLAB, models=TIMM.models)
OPENMMLAB_V1D = replace(resnet_deep.OPENMMLAB_C, models=TIMM_V1D.models)
"""Its shortcuts all count a pooling, the first as well."""
ROUTES = {"timm": (TIMM, TIMM_V1D), "openmmlab": (OPENMMLAB, OPENMMLAB_V1D)}
