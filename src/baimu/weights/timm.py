"""Parameters of timm: its classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baimu.weights.families import routes
from baimu.weights.keys import Facts, Source

if TYPE_CHECKING:
    from baimu.weights.stored import Stored


def describe(stored: Stored) -> Facts:
    """Strides in the 3x3; how images were normalised and cut is told of each published file, and not in it."""
    del stored
    return Facts(arguments={"stride_in_3x3": True})


SOURCE = Source(name="timm", routes=routes("timm"), describe=describe)
