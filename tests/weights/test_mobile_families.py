"""Names of the mobile families in OpenMMLab's checkpoints, which no installed library can build: written out from its
tables of layers, they fit our networks name by name and shape by shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from baimu.weights.keys import renamed
from baimu.weights.recognise import source_named
from baimu.zoo import create_model

Entries = Iterator[tuple[str, tuple[int, ...]]]


def module(name: str, out: int, inner: int, kernel: int = 1, *, norm: bool = True) -> Entries:
    """mmcv's ConvModule: a convolution, and batch norm or a bias. ``inner``: input channels of one group."""
    yield f"{name}.conv.weight", (out, inner, kernel, kernel)
    if not norm:
        yield f"{name}.conv.bias", (out,)
        return
    yield from ((f"{name}.bn.{kind}", (out,)) for kind in ("weight", "bias", "running_mean", "running_var"))
    yield f"{name}.bn.num_batches_tracked", ()


def linear(name: str, out: int, inner: int) -> Entries:
    yield from ((f"{name}.weight", (out, inner)), (f"{name}.bias", (out,)))


def inverted(name: str, inner: int, inside: int, out: int, kernel: int, squeezed: int) -> Entries:
    """mmpretrain's InvertedResidual."""
    if inside != inner:
        yield from module(f"{name}.expand_conv", inside, inner)
    yield from module(f"{name}.depthwise_conv", inside, 1, kernel)
    if squeezed:
        yield from module(f"{name}.se.conv1", squeezed, inside, norm=False)
        yield from module(f"{name}.se.conv2", inside, squeezed, norm=False)
    yield from module(f"{name}.linear_conv", out, inside)


def divisible(value: float) -> int:
    nearest = max(8, int(value + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * value else nearest


def mobilenet_v2(width: float) -> Entries:
    rows = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    channels = divisible(32 * width)
    yield from module("backbone.conv1", channels, 3, 3)
    for row, (expansion, out, count) in enumerate(rows, start=1):
        for i in range(count):
            name, inner, inside = f"backbone.layer{row}.{i}.conv", channels, expansion * channels
            channels, first = divisible(out * width), int(expansion > 1)
            if first:
                yield from module(f"{name}.0", inside, inner)
            yield from module(f"{name}.{first}", inside, 1, 3)
            yield from module(f"{name}.{first + 1}", channels, inside)
    yield from module("backbone.conv2", 1280, channels)
    yield from linear("head.fc", 1000, 1280)


SMALL = ((3, 16, 16, 1), (3, 72, 24, 0), (3, 88, 24, 0), (5, 96, 40, 1), *((5, 240, 40, 1),) * 2, (5, 120, 48, 1),
         (5, 144, 48, 1), (5, 288, 96, 1), *((5, 576, 96, 1),) * 2)  # fmt: skip
SMALL_075 = ((3, 16, 16, 1), (3, 72, 24, 0), (3, 88, 24, 0), (5, 96, 32, 1), *((5, 192, 32, 1),) * 2, (5, 96, 40, 1),
             (5, 120, 40, 1), (5, 240, 72, 1), *((5, 432, 72, 1),) * 2)  # fmt: skip
LARGE = ((3, 16, 16, 0), (3, 64, 24, 0), (3, 72, 24, 0), (5, 72, 40, 1), *((5, 120, 40, 1),) * 2, (3, 240, 80, 0),
         (3, 200, 80, 0), *((3, 184, 80, 0),) * 2, (3, 480, 112, 1), (3, 672, 112, 1), (5, 672, 160, 1),
         *((5, 960, 160, 1),) * 2)  # fmt: skip
"""Kernel, channels inside and after each block, whether it has SE."""


def mobilenet_v3(layers: tuple[tuple[int, int, int, int], ...], hidden: int) -> Entries:
    yield from module("backbone.layer0", 16, 3, 3)
    channels = 16
    for number, (kernel, inside, out, squeeze) in enumerate(layers, start=1):
        squeezed = squeeze * divisible(inside // 4)
        yield from inverted(f"backbone.layer{number}", channels, inside, out, kernel, squeezed)
        channels = out
    last = layers[-1][1]
    yield from module(f"backbone.layer{len(layers) + 1}", last, channels)
    yield from linear("head.layers.0.fc", hidden, last)
    yield from linear("head.layers.1.fc", 1000, hidden)


def efficientnet(width: float, depth: float) -> Entries:
    """Rows of equal stride stand in one layer."""
    layers = (
        ((1, 3, 16, 1),),
        ((6, 3, 24, 2),),
        ((6, 5, 40, 2),),
        ((6, 3, 80, 3), (6, 5, 112, 3)),
        ((6, 5, 192, 4), (6, 3, 320, 1)),
    )
    channels = divisible(32 * width)
    yield from module("backbone.layers.0", channels, 3, 3)
    for layer, rows in enumerate(layers, start=1):
        blocks = [row for row in rows for _ in range(math.ceil(row[3] * depth))]
        for i, (expansion, kernel, wide, _) in enumerate(blocks):
            out, name = divisible(wide * width), f"backbone.layers.{layer}.{i}"
            yield from inverted(name, channels, expansion * channels, out, kernel, channels // 4)
            channels = out
    last = divisible(1280 * width)
    yield from module("backbone.layers.6", last, channels)
    yield from linear("head.fc", 1000, last)


def shufflenet_v1() -> Entries:
    yield from module("backbone.conv1", 24, 3, 3)
    channels = 24
    for stage, (out, count) in enumerate(((240, 4), (480, 8), (960, 4))):
        for i in range(count):
            name, inside = f"backbone.layers.{stage}.{i}", out // 4
            yield from module(f"{name}.g_conv_1x1_compress", inside, channels // (3 if stage or i else 1))
            yield from module(f"{name}.depthwise_conv3x3_bn", inside, 1, 3)
            yield from module(f"{name}.g_conv_1x1_expand", out if i else out - channels, inside // 3)
            channels = out
    yield from linear("head.fc", 1000, 960)


def shufflenet_v2(widths: tuple[int, int, int], last: int) -> Entries:
    yield from module("backbone.conv1", 24, 3, 3)
    channels = 24
    for stage, (out, count) in enumerate(zip(widths, (4, 8, 4), strict=True)):
        for i in range(count):
            name, half = f"backbone.layers.{stage}.{i}", out // 2
            if i == 0:
                yield from module(f"{name}.branch1.0", channels, 1, 3)
                yield from module(f"{name}.branch1.1", half, channels)
            yield from module(f"{name}.branch2.0", half, half if i else channels)
            yield from module(f"{name}.branch2.1", half, 1, 3)
            yield from module(f"{name}.branch2.2", half, half)
            channels = out
    yield from module("backbone.layers.3", last, channels)
    yield from linear("head.fc", 1000, last)


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("mobilenet_v2", mobilenet_v2(1)),
        ("mobilenet_v2_x0_5", mobilenet_v2(0.5)),
        ("mobilenet_v3_small", mobilenet_v3(SMALL, 1024)),
        ("mobilenet_v3_small_x0_75", mobilenet_v3(SMALL_075, 1024)),
        ("mobilenet_v3_large", mobilenet_v3(LARGE, 1280)),
        ("tf_efficientnet_b0", efficientnet(1, 1)),
        ("tf_efficientnet_b1", efficientnet(1, 1.1)),
        ("tf_efficientnet_b4", efficientnet(1.4, 1.8)),
        ("tf_efficientnet_b7", efficientnet(2, 3.1)),
        ("shufflenet_v1_x1_0", shufflenet_v1()),
        ("shufflenet_v2_x1_0", shufflenet_v2((116, 232, 464), 1024)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mmpretrains_names_and_shapes_are_those_of_its_tables(name: str, entries: Entries) -> None:
    route = source_named("openmmlab").route(name)
    with torch.device("meta"):
        ours = create_model(name, **route.arguments).state_dict()
        theirs = {key: torch.empty(shape) for key, shape in entries}
    found = {key: value.shape for key, value in renamed(theirs, route).items()}
    assert found == {key: value.shape for key, value in ours.items()}
