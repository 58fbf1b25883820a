"""timm's classifiers."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from baimu.weights.timm import SOURCE

__all__ = ["SOURCE", "classifier", "detector"]


def classifier(name: str, **options: Any) -> nn.Module:
    """By its own name."""
    return timm.create_model(name, pretrained=False, **options)


def detector(name: str) -> None:
    """It has none."""
