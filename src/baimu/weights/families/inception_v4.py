"""Inception v4 and Inception-ResNet v2: timm's names and those of the files that it was converted from."""

from __future__ import annotations

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

LETTERS = "bcdefgh"
V4_LAYERS = (
    *("conv2d_1a", "conv2d_2a", "conv2d_2b", "mixed_3a", "mixed_4a", "mixed_5a"),
    *(f"mixed_5{letter}" for letter in LETTERS[:4]),
    *(f"mixed_6{letter}" for letter in "a" + LETTERS),
    *(f"mixed_7{letter}" for letter in "a" + LETTERS[:3]),
)
"""timm counts them."""
CLASSES = 1000


def without_background(state: State) -> State:
    """TensorFlow's ImageNet has a class 0 for what is none of the 1000; ours has not."""
    heads = ("last_linear.weight", "last_linear.bias", "classif.weight", "classif.bias")
    return {k: v[1:] if k in heads and v.shape[0] == CLASSES + 1 else v for k, v in state.items()}


V4_TABLE: KeyTable = (
    (r"\.bn\.", ".norm."),
    (r"^last_linear\.", "head.linear."),
    *((rf"^features\.{place}\.", f"backbone.{name}.") for place, name in enumerate(V4_LAYERS)),
    (r"(mixed_7[bcd]\.branch[12])_(\d)\.", r"\1.\2."),
    (r"(mixed_7[bcd]\.branch[12])_(\d)([ab])\.", r"\1.\2.\3."),
)
INCEPTION_V4 = Route(models="inception_v4", table=V4_TABLE, to_ours=without_background, may_miss=(COUNTERS,))
INCEPTION_RESNET_V2 = Route(
    models="inception_resnet_v2",
    table=(
        (r"\.bn\.", ".norm."),
        (r"^classif\.", "head.linear."),
        (r"^(repeat\.\d+|repeat_\d\.\d+|block8)\.(branch\d)\.", r"\1.branches.\2."),
        (r"^(conv2d_\w+|mixed_\w+|repeat|repeat_\d|block8)\.", r"backbone.\1."),
    ),
    to_ours=without_background,
    may_miss=(COUNTERS,),
    older=((r"^last_linear\.", "classif."),),
)
ROUTES = {"timm": (INCEPTION_V4, INCEPTION_RESNET_V2)}
