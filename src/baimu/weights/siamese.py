"""Parameters of trackers: those of huanglianghua/siamfc-pytorch and STVIR/pysot."""

from __future__ import annotations

from collections.abc import Callable

from baimu.weights.keys import COUNTERS, KeyTable, Route, Source, State

SIAMFC = Route(
    models="siamfc_alexnet",
    table=((r"^backbone\.(conv\d)\.0\.", r"embed.\1.conv."), (r"^backbone\.(conv\d)\.1\.", r"embed.\1.norm.")),
    may_miss=(COUNTERS,),
)

_LAYERS: KeyTable = tuple(
    (rf"^backbone\.layer{i}\.{place}\.", f"backbone.conv{i}.{ours}.")
    for i in range(1, 6)
    for place, ours in ((0, "conv"), (1, "norm"))
)
_LEGACY: KeyTable = tuple(
    (rf"^backbone\.features\.{first + place}\.", f"backbone.layer{i}.{place}.")
    for i, first in enumerate((0, 4, 8, 11, 14), 1)
    for place in (0, 1)
)
"""Names of the published AlexNets, ``features.0`` …, to those of newer ones, ``layer1.0`` …"""


def _depthwise(theirs: str, ours: str) -> KeyTable:
    start = rf"^rpn_head\.{theirs}\."
    return tuple(
        (rf"{start}{place}\.", f"{ours}.{part}.")
        for place, part in (
            (r"conv_kernel\.0", "kernel.conv"),
            (r"conv_kernel\.1", "kernel.norm"),
            (r"conv_search\.0", "search.conv"),
            (r"conv_search\.1", "search.norm"),
            (r"head\.0", "mix.conv"),
            (r"head\.1", "mix.norm"),
            (r"head\.3", "out"),
        )
    )


PYSOT_DEPTHWISE = Route(
    models="siamrpn_alexnet_dw",
    table=(*_LAYERS, *_depthwise("cls", "classify"), *_depthwise("loc", "regress")),
    older=_LEGACY,
    may_miss=(COUNTERS,),
)
PRODUCTS = 64.0
"""By which our correlation of kernels is smaller: the root of 4 x 4 x 256."""


def _times(factor: float) -> Callable[[State], State]:
    """The kernels that the exemplar becomes, larger by ``factor``."""
    return lambda state: {
        key: value * factor if key.startswith("rpn_head.template_") else value for key, value in state.items()
    }


PYSOT_UP = Route(
    models="siamrpn_alexnet",
    table=(
        *_LAYERS,
        (r"^rpn_head\.template_cls_conv\.", "classify.kernel."),
        (r"^rpn_head\.template_loc_conv\.", "regress.kernel."),
        (r"^rpn_head\.search_cls_conv\.", "classify.search."),
        (r"^rpn_head\.search_loc_conv\.", "regress.search."),
        (r"^rpn_head\.loc_adjust\.", "regress.adjust."),
    ),
    to_ours=_times(PRODUCTS),
    to_theirs=_times(1 / PRODUCTS),
    older=_LEGACY,
    may_miss=(COUNTERS,),
)


SOURCE = Source(name="siamese", routes=(SIAMFC, PYSOT_DEPTHWISE, PYSOT_UP))
