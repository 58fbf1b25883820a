"""MobileNets: torchvision and mmpretrain number their blocks through, timm has the rows of the papers' tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

V2_ROWS, LARGE_ROWS, SMALL_ROWS = (1, 2, 3, 4, 3, 3, 1), (1, 2, 3, 4, 2, 3, 1), (1, 2, 3, 2, 3, 1)
"""Blocks of each row; v3's last is a convolution alone."""

TIMM_STEM: KeyTable = ((r"^conv_stem\.", "backbone.stem.conv."), (r"^bn1\.", "backbone.stem.norm."))
TIMM_HEAD: KeyTable = (
    (r"^conv_head\.", "head.widen.conv."),
    (r"^bn2\.", "head.widen.norm."),
    (r"^classifier\.", "head.linear."),
)


def places(rows: Sequence[int]) -> Iterable[tuple[int, str]]:
    """Each block's number, from 1, and its place in our rows."""
    return enumerate((f"{row}.{i}" for row, count in enumerate(rows) for i in range(count)), start=1)


def timm_blocks(rows: str, *parts: str) -> KeyTable:
    """Of the rows that match: ``parts`` are our names of the convolutions, the depthwise among them."""
    names = ("conv_dw", "conv_pw") if len(parts) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
    block = rf"^(blocks\.{rows}\.\d+)\."
    return (
        *((rf"{block}{name}\.", rf"backbone.\1.{part}.conv.") for name, part in zip(names, parts, strict=True)),
        *((rf"{block}bn{i}\.", rf"backbone.\1.{part}.norm.") for i, part in enumerate(parts, start=1)),
        (rf"{block}se\.conv_(reduce|expand)\.", r"backbone.\1.squeeze.\2."),
    )


def torchvision_blocks(rows: str, *parts: str) -> KeyTable:
    """Of the rows that match, already under our names: ``parts`` are our names of what it counts from 0."""
    block = rf"^(backbone\.blocks\.{rows}\.\d+)\."
    table: list[tuple[str, str]] = []
    for i, part in enumerate(parts):
        if part == "squeeze":
            pair = ("fc1", r"\1.squeeze.reduce."), ("fc2", r"\1.squeeze.expand.")
        else:
            pair = ("0", rf"\1.{part}.conv."), ("1", rf"\1.{part}.norm.")
        table += ((rf"{block}{i}\.{theirs}\.", ours) for theirs, ours in pair)
    return tuple(table)


def flat(state: State) -> State:
    """timm's hidden layer, a 1x1 convolution, as the matrix of a linear one."""
    return {key: value.flatten(1) if key == "conv_head.weight" else value for key, value in state.items()}


def unflat(state: State) -> State:
    """The inverse of :func:`flat`."""
    return {key: value[..., None, None] if key == "conv_head.weight" else value for key, value in state.items()}


TIMM_V1 = Route(
    models=r"mobilenet_v1.*",
    table=(*TIMM_STEM, *timm_blocks(r"\d", "depthwise", "pointwise"), *TIMM_HEAD[2:]),
    may_miss=(COUNTERS,),
)
TIMM_V2 = Route(
    models=r"mobilenet_v2.*",
    table=(
        *TIMM_STEM,
        *timm_blocks("0", "depthwise", "project"),
        *timm_blocks("[1-6]", "expand", "depthwise", "project"),
        *TIMM_HEAD,
    ),
    may_miss=(COUNTERS,),
)


def _timm_v3(size: str, last: int) -> Route:
    return Route(
        models=rf"mobilenet_v3_{size}.*",
        table=(
            *TIMM_STEM,
            (rf"^(blocks\.{last}\.0)\.conv\.", r"backbone.\1.conv."),
            (rf"^(blocks\.{last}\.0)\.bn1\.", r"backbone.\1.norm."),
            *timm_blocks("0", "depthwise", "project"),
            *timm_blocks(f"[1-{last - 1}]", "expand", "depthwise", "project"),
            (r"^conv_head\.", "head.hidden."),
            *TIMM_HEAD[2:],
        ),
        arguments={"like": "timm"},
        to_ours=flat,
        to_theirs=unflat,
        may_miss=(COUNTERS,),
    )


TORCHVISION_V2 = Route(
    models=r"mobilenet_v2.*",
    table=(
        (r"^features\.0\.0\.", "backbone.stem.conv."),
        (r"^features\.0\.1\.", "backbone.stem.norm."),
        (r"^features\.18\.0\.", "head.widen.conv."),
        (r"^features\.18\.1\.", "head.widen.norm."),
        (r"^classifier\.1\.", "head.linear."),
        *((rf"^features\.{number}\.conv\.", f"backbone.blocks.{place}.") for number, place in places(V2_ROWS)),
        (r"^(backbone\.blocks\.0\.0)\.1\.", r"\1.project.conv."),
        (r"^(backbone\.blocks\.0\.0)\.2\.", r"\1.project.norm."),
        *torchvision_blocks("0", "depthwise"),
        (r"^(backbone\.blocks\.[1-6]\.\d)\.2\.", r"\1.project.conv."),
        (r"^(backbone\.blocks\.[1-6]\.\d)\.3\.", r"\1.project.norm."),
        *torchvision_blocks("[1-6]", "expand", "depthwise"),
    ),
    may_miss=(COUNTERS,),
)


def _torchvision_v3(size: str, rows: Sequence[int], first: tuple[str, ...], plain: str, squeezing: str) -> Route:
    """``plain`` and ``squeezing`` match the rows without and with SE; ``first`` are the parts of the first."""
    number, last = sum(rows), len(rows) - 1
    return Route(
        models=rf"mobilenet_v3_{size}.*",
        table=(
            (r"^features\.0\.0\.", "backbone.stem.conv."),
            (r"^features\.0\.1\.", "backbone.stem.norm."),
            (rf"^features\.{number}\.0\.", f"backbone.blocks.{last}.0.conv."),
            (rf"^features\.{number}\.1\.", f"backbone.blocks.{last}.0.norm."),
            (r"^classifier\.0\.", "head.hidden."),
            (r"^classifier\.3\.", "head.linear."),
            *((rf"^features\.{i}\.block\.", f"backbone.blocks.{place}.") for i, place in places(rows[:-1])),
            *torchvision_blocks("0", *first),
            *torchvision_blocks(plain, "expand", "depthwise", "project"),
            *torchvision_blocks(squeezing, "expand", "depthwise", "squeeze", "project"),
        ),
        may_miss=(COUNTERS,),
    )


MMPRETRAIN_V2 = Route(
    models=r"mobilenet_v2.*",
    table=(
        (r"^backbone\.conv1\.", "backbone.stem."),
        (r"^backbone\.layer1\.0\.conv\.0\.", "backbone.blocks.0.0.depthwise."),
        (r"^backbone\.layer1\.0\.conv\.1\.", "backbone.blocks.0.0.project."),
        *(
            (rf"^backbone\.layer([2-7])\.(\d)\.conv\.{i}\.", rf"backbone.layer\1.\2.{part}.")
            for i, part in enumerate(("expand", "depthwise", "project"))
        ),
        *((rf"^backbone\.layer{row + 1}\.", f"backbone.blocks.{row}.") for row in range(1, 7)),
        (r"^backbone\.conv2\.", "head.widen."),
        (r"^head\.fc\.", "head.linear."),
        (r"\.bn\.", ".norm."),
    ),
    may_miss=(COUNTERS,),
    older=(
        (r"\.expand_conv\.", ".conv.0."),
        (r"^(backbone\.layer1\.\d)\.depthwise_conv\.", r"\1.conv.0."),
        (r"^(backbone\.layer1\.\d)\.linear_conv\.", r"\1.conv.1."),
        (r"\.depthwise_conv\.", ".conv.1."),
        (r"\.linear_conv\.", ".conv.2."),
    ),
)
"""``older`` are mmdetection's own names."""


def _mmpretrain_v3(size: str, rows: Sequence[int]) -> Route:
    return Route(
        models=rf"mobilenet_v3_{size}.*",
        table=(
            (r"^backbone\.layer0\.", "backbone.stem."),
            *((rf"^backbone\.layer{i}\.", f"backbone.blocks.{place}.") for i, place in places(rows)),
            *MMPRETRAIN_PARTS,
            (r"^head\.layers\.0\.fc\.", "head.hidden."),
            (r"^head\.layers\.1\.fc\.", "head.linear."),
        ),
        may_miss=(COUNTERS,),
    )


MMPRETRAIN_PARTS: KeyTable = (
    (r"\.(expand|depthwise)_conv\.", r".\1."),
    (r"\.linear_conv\.", ".project."),
    (r"\.se\.conv1\.conv\.", ".squeeze.reduce."),
    (r"\.se\.conv2\.conv\.", ".squeeze.expand."),
    (r"\.bn\.", ".norm."),
)

HUGGINGFACE_V1 = Route(
    models=r"mobilenet_v1.*",
    table=(
        (r"^mobilenet_v1\.conv_stem\.", "backbone.stem."),
        *(
            (rf"^mobilenet_v1\.layer\.{2 * (number - 1) + i}\.", f"backbone.blocks.{place}.{part}.")
            for number, place in places((1, 2, 2, 6, 2))
            for i, part in enumerate(("depthwise", "pointwise"))
        ),
        (r"\.convolution\.", ".conv."),
        (r"\.normalization\.", ".norm."),
        (r"^classifier\.", "head.linear."),
    ),
    arguments={"like": "tensorflow"},
    may_miss=(COUNTERS,),
)
"""TensorFlow's weights, mostly of 1001 classes, the first of which is background."""

ROUTES = {
    "torchvision": (
        TORCHVISION_V2,
        _torchvision_v3("large", LARGE_ROWS, ("depthwise", "project"), "[13]", "[245]"),
        _torchvision_v3("small", SMALL_ROWS, ("depthwise", "squeeze", "project"), "1", "[234]"),
    ),
    "timm": (TIMM_V1, TIMM_V2, _timm_v3("large", 6), _timm_v3("small", 5)),
    "openmmlab": (MMPRETRAIN_V2, _mmpretrain_v3("large", LARGE_ROWS), _mmpretrain_v3("small", SMALL_ROWS)),
    "huggingface": (HUGGINGFACE_V1,),
}
