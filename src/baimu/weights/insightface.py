"""Parameters of insightface's arcface_torch: the ``backbone.pth`` of its trainings, which holds no identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baimu.preprocess import signed
from baimu.weights.keys import COUNTERS, Facts, Route, Source

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

ARCFACE = Route(
    models=r"arcface_iresnet\d+",
    table=(
        (r"^(layer\d)\.", r"backbone.\1."),
        *((rf"^(backbone\.layer\d\.\d+)\.bn{i + 1}\.", rf"\1.bn{i}.") for i in range(3)),  # ours follow a convolution
        (r"^(conv1|bn1|prelu)\.", r"backbone.\1."),
        (r"^bn2\.", "neck.norm."),
        (r"^fc\.", "neck.linear."),
        (r"^features\.", "neck.last_norm."),
    ),
    arguments={"like": "insightface", "dropout": 0.0, "num_classes": 1},
    may_miss=(COUNTERS, r"^head\.weight$"),
    same=(r"^head\.weight$",),
)


def describe(stored: Stored) -> Facts:
    """Aligned faces of 112 pixels in −1…1, RGB."""
    del stored
    return Facts(preprocess=signed.replace(resize="stretch", size=112, pad_to=1))


SOURCE = Source(name="insightface", routes=(ARCFACE,), describe=describe)
