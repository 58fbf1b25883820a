"""timm's classifiers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import timm
from torch import Tensor, nn

from baimu.weights.timm import SOURCE
from tests.parity.peers.with_torchvision import Maps, stage_maps

__all__ = ["SOURCE", "backbone", "detector"]


def backbone(name: str) -> Callable[[], tuple[nn.Module, Maps]] | None:
    """Its stages have torchvision's names."""
    return partial(_build, name) if name in timm.list_models() else None


def _build(name: str) -> tuple[nn.Module, Callable[[Tensor], list[Tensor]]]:
    net = timm.create_model(name, pretrained=False)
    return net, partial(stage_maps, net)


def detector(name: str) -> None:
    """It has none."""
