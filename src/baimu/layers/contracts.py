"""The seams between parts of a network: what a backbone and a neck must tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Pyramid(Protocol):
    """Maps of falling resolution: what :class:`Backbone` and :class:`Neck` have in common."""

    channels: tuple[int, ...]  # of each map, fine to coarse
    strides: tuple[int, ...]  # input pixels a cell


@runtime_checkable
class Backbone(Pyramid, Protocol):
    """Images (B, 3, H, W) → maps, fine to coarse."""

    def __call__(self, images: Tensor) -> list[Tensor]: ...


@runtime_checkable
class Neck(Pyramid, Protocol):
    """Maps → maps, fine to coarse."""

    def __call__(self, maps: Sequence[Tensor]) -> list[Tensor]: ...


def check_pyramid(part: object, reader: str, *, levels: int | None = None) -> None:
    """Raise a ``TypeError`` that names both sides unless ``part`` tells its channels and strides."""
    name = type(part).__name__
    channels, strides = getattr(part, "channels", None), getattr(part, "strides", None)
    if not channels or not strides or len(channels) != len(strides):
        raise TypeError(f"{reader} reads `channels` and `strides` of its {name}; it has {channels} and {strides}")
    if levels is not None and len(channels) != levels:
        raise TypeError(f"{reader} needs {levels} maps, but its {name} gives {len(channels)} (strides {strides})")
