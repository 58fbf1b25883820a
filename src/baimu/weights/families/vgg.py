"""VGG: others count layers, here they have Caffe's names (conv4_3, fc6)."""

from __future__ import annotations

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
DENSE: KeyTable = tuple((rf"^classifier\.{place}\.", f"head.fc{n}.") for n, place in ((6, 0), (7, 3), (8, 6)))
DENSE_TIMM: KeyTable = (
    (r"^pre_logits\.fc1\.", "head.fc6."),
    (r"^pre_logits\.fc2\.", "head.fc7."),
    (r"^head\.fc\.", "head.fc8."),
)

SIDES = {"pre_logits.fc1.weight": 7, "pre_logits.fc2.weight": 1}
"""timm's hidden layers are convolutions of these kernels."""


def _convs(depths: tuple[int, ...], *, norm: bool) -> KeyTable:
    """Torchvision's Sequential counts convolutions, norms, ReLUs and poolings."""
    rows, place = [], 0
    for block, depth in enumerate(depths, start=1):
        for i in range(1, depth + 1):
            for part in ("conv", "norm") if norm else ("conv",):
                rows.append((rf"^features\.{place}\.", f"backbone.conv{block}_{i}.{part}."))
                place += 1
            place += 1
        place += 1
    return tuple(rows)


def _modules(depths: tuple[int, ...]) -> KeyTable:
    """OpenMMLab counts convolutions (with norm and ReLU) and poolings."""
    names = [f"conv{block}_{i}" for block, depth in enumerate(depths, start=1) for i in range(1, depth + 2)]
    pools = {f"conv{block}_{depth + 1}" for block, depth in enumerate(depths, start=1)}
    return tuple(
        (rf"^backbone\.features\.{place}\.", f"backbone.{name}.")
        for place, name in enumerate(names)
        if name not in pools
    )


def _flat(state: State) -> State:
    """From timm's convolutions to linear layers."""
    return {k: v.flatten(1) if k in SIDES else v for k, v in state.items()}


def _square(state: State) -> State:
    """The inverse of :func:`_flat`."""
    return {k: v.unflatten(1, (-1, SIDES[k], SIDES[k])) if k in SIDES else v for k, v in state.items()}


def _routes(depth: int, *, norm: bool) -> dict[str, Route]:
    name, convs = f"vgg{depth}_bn" if norm else f"vgg{depth}", _convs(DEPTHS[depth], norm=norm)
    dense = tuple((pattern.replace("^", r"^backbone\."), answer) for pattern, answer in DENSE)
    return {
        "torchvision": Route(name, (*convs, *DENSE), may_miss=(COUNTERS,)),
        "timm": Route(name, (*convs, *DENSE_TIMM), to_ours=_flat, to_theirs=_square, may_miss=(COUNTERS,)),
        "openmmlab": Route(
            name,
            ((r"\.bn\.", ".norm."), *_modules(DEPTHS[depth]), *dense),
            may_miss=(COUNTERS,),
            drop=(r"^data_preprocessor\.",),
        ),
    }


_ALL = [_routes(depth, norm=norm) for depth in DEPTHS for norm in (False, True)]
ROUTES = {source: tuple(routes[source] for routes in _ALL) for source in ("torchvision", "timm", "openmmlab")}
