"""A playground scene as a description: what lies where and what it looks like, and which pixels of it can be seen.

A description is plain data, so a moving scene is the same items with other centres and angles, laid out again, and
an item's place in ``Scene.items`` is its identity through time. Lengths are in units of the picture's shorter side,
so that one description can be drawn at any size.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from baimu.datasets.shapes import SHAPES

Colour = tuple[float, float, float]  # red, green, blue in 0…1

SMALLEST = 8.0  # pixels: no thing is drawn shorter than this
LEAST_VISIBLE = 12  # pixels, and …
LEAST_VISIBLE_SHARE = 0.25  # … share of its area: what shows less is taken out of the scene

# Backdrops are dull, things are bright: two colours (and a hue shift) of each backdrop, one palette for all things.
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((0.90, 0.87, 0.80), (0.80, 0.76, 0.67)),  # sand
    ((0.80, 0.86, 0.90), (0.66, 0.75, 0.82)),  # sky
    ((0.78, 0.84, 0.74), (0.65, 0.73, 0.60)),  # meadow
    ((0.86, 0.80, 0.84), (0.75, 0.67, 0.73)),  # heather
    ((0.26, 0.31, 0.36), (0.18, 0.22, 0.27)),  # slate
    ((0.20, 0.28, 0.28), (0.13, 0.20, 0.21)),  # pine
    ((0.33, 0.26, 0.30), (0.24, 0.18, 0.23)),  # plum
    ((0.55, 0.51, 0.46), (0.45, 0.41, 0.36)),  # clay
    ((0.50, 0.55, 0.58), (0.40, 0.46, 0.50)),  # concrete
    ((0.94, 0.94, 0.93), (0.86, 0.87, 0.88)),  # paper
)
PALETTE: tuple[Colour, ...] = (
    (0.90, 0.22, 0.21),  # red
    (0.96, 0.49, 0.13),  # orange
    (0.99, 0.79, 0.15),  # yellow
    (0.52, 0.76, 0.22),  # lime
    (0.10, 0.60, 0.35),  # green
    (0.05, 0.66, 0.66),  # teal
    (0.18, 0.60, 0.92),  # azure
    (0.16, 0.32, 0.75),  # blue
    (0.50, 0.28, 0.74),  # violet
    (0.86, 0.25, 0.60),  # magenta
    (0.98, 0.62, 0.69),  # rose
    (0.97, 0.97, 0.95),  # white
    (0.13, 0.13, 0.16),  # black
)
PATTERNS = ("plain", "plain", "gradient", "gradient", "stripes", "dots", "checks")
TEXTURES = ("gradient", "clouds", "stripes", "checks", "blotches", "waves", "dots", "weave")


@dataclass(frozen=True)
class Item:
    """One thing: its class, where it lies, and how it is coloured."""

    shape: str  # a key of SHAPES
    centre: tuple[float, float]  # x, y
    radius: float  # half of its longest side
    angle: float  # radians, clockwise
    colour: Colour
    second: Colour  # of the pattern
    pattern: str
    period: float  # of the pattern, in radii
    outline: float  # width in radii; 0: none
    line: Colour  # of the outline
    shadow: float  # 0…1
    mirrored: bool = False


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn: the ground, the light, and the things from back to front."""

    items: tuple[Item, ...]
    ground: tuple[Colour, Colour]
    texture: str
    grain: int  # seed of the texture's and the noise's random numbers
    light: tuple[float, float]  # change of brightness across the picture, to the right and down
    blur: float  # 0…1
    noise: float  # largest deviation, 0…1


class Placed(NamedTuple):
    """One item on the pixel grid. The window may reach beyond the picture; its arrays are (h, w) float32."""

    index: int  # in Scene.items
    item: Item
    top: int
    left: int
    radius: float  # pixels
    u: np.ndarray  # the item's own coordinates, see shapes
    v: np.ndarray
    distance: np.ndarray  # to the edge in pixels, negative inside


class Layout(NamedTuple):
    """What can be seen of a scene: the items that remain, back to front, and which of them owns each pixel."""

    placed: list[Placed]
    owner: np.ndarray  # (H, W) int16: index into ``placed``, −1 the ground


def overlap(placed: Placed, height: int, width: int, down: int = 0, right: int = 0) -> tuple[tuple, tuple] | None:
    """The slices of the picture and of the item's window, moved by some pixels, that lie on each other."""
    top, left = placed.top + down, placed.left + right
    rows = slice(max(top, 0), min(top + placed.distance.shape[0], height))
    columns = slice(max(left, 0), min(left + placed.distance.shape[1], width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return (rows, columns), inside


def rasterise(item: Item, index: int, height: int, width: int) -> Placed:
    """Signed distances of one item in a window with room for its soft edge and its shadow."""
    short = min(height, width)
    x, y = item.centre[0] * short, item.centre[1] * short
    radius = max(item.radius * short, SMALLEST / 2)
    reach = radius * 1.25 + 2
    top, left = math.floor(y - reach), math.floor(x - reach)
    # float64 offsets first: a window far from the origin must not lose the fraction of its centre
    rows = np.arange(math.ceil(y + reach) - top, dtype=np.float32) + (top + 0.5 - y)
    columns = np.arange(math.ceil(x + reach) - left, dtype=np.float32) + (left + 0.5 - x)
    rows, columns = rows.astype(np.float32)[:, None] / radius, columns.astype(np.float32)[None, :] / radius
    cosine, sine = math.cos(item.angle), math.sin(item.angle)
    u, v = columns * cosine + rows * sine, rows * cosine - columns * sine
    if item.mirrored:
        u = -u
    return Placed(index, item, top, left, radius, u, v, SHAPES[item.shape].distance(u, v) * radius)


def lay_out(scene: Scene, height: int, width: int) -> Layout:
    """Find what can be seen, exact to the pixel: a pixel belongs to the front item that covers its centre.

    Items are taken from front to back, so one that shows too little of itself leaves the scene before it can hide
    anything, and what is annotated is what is drawn.
    """
    owner = np.full((height, width), -1, np.int16)
    seen: list[Placed] = []
    for index in range(len(scene.items) - 1, -1, -1):
        placed = rasterise(scene.items[index], index, height, width)
        common = overlap(placed, height, width)
        if common is None:
            continue
        picture, window = common
        whole = placed.distance < 0
        visible = whole[window] & (owner[picture] < 0)
        if np.count_nonzero(visible) < max(LEAST_VISIBLE, LEAST_VISIBLE_SHARE * np.count_nonzero(whole)):
            continue
        owner[picture][visible] = len(seen)
        seen.append(placed)
    backwards = np.append(np.arange(len(seen) - 1, -1, -1, dtype=np.int16), np.int16(-1))
    return Layout(seen[::-1], backwards[owner])


@functools.cache
def _standing_out(unlike: tuple[Colour, ...], least: float) -> tuple[Colour, ...]:
    """The palette's colours that are at least so far from all of ``unlike``."""
    return tuple(c for c in PALETTE if all(contrast(c, other) >= least for other in unlike))


def contrast(one: Colour, other: Colour) -> float:
    """How far apart two colours look, 0…1; green counts most, as it does to the eye."""
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return math.sqrt(0.3 * red * red + 0.5 * green * green + 0.2 * blue * blue)


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    """One of the choices; ``Generator.choice`` takes thirty times as long."""
    return choices[int(rng.random() * len(choices))]


def _centre(
    rng: np.random.Generator, radius: float, others: Sequence[Item], extent: tuple[float, float]
) -> tuple[float, float]:
    """A place mostly inside the picture; how much it may run into ``others`` is drawn first, so some do overlap."""
    height, width = extent
    room = rng.uniform(0.45, 1.0) if rng.random() < 0.3 else 1.05  # share of the distance at which circles touch
    margin = radius * (0.55 if rng.random() < 0.2 else 1.0)
    x, y = width / 2, height / 2
    for _ in range(12):
        x = rng.uniform(min(margin, width / 2), max(width - margin, width / 2))
        y = rng.uniform(min(margin, height / 2), max(height - margin, height / 2))
        if all(math.hypot(x - o.centre[0], y - o.centre[1]) > room * (radius + o.radius) for o in others):
            break
    return x, y


def _item(
    rng: np.random.Generator,
    shapes: Sequence[str],
    others: Sequence[Item],
    ground: tuple[Colour, Colour],
    extent: tuple[float, float],
) -> Item:
    shape = _pick(rng, shapes)
    size = rng.uniform(0.05, 0.10) if rng.random() < 0.1 else rng.uniform(0.10, 0.40)  # 8…16 and 16…64 of 160 pixels
    radius = size / 2
    colour = _pick(rng, _standing_out(ground, 0.25))
    shade = rng.uniform(0.9, 1.05)
    return Item(
        shape=shape,
        centre=_centre(rng, radius, others, extent),
        radius=radius,
        angle=rng.uniform(-1, 1) * SHAPES[shape].tilt,
        colour=(colour[0] * shade, colour[1] * shade, colour[2] * shade),
        second=_pick(rng, _standing_out((colour, *ground), 0.2)),
        pattern=_pick(rng, PATTERNS),
        period=rng.uniform(0.45, 0.9),
        outline=rng.uniform(0.08, 0.15) if rng.random() < 0.5 else 0.0,
        line=(0.10, 0.10, 0.12) if contrast(ground[0], (0.0, 0.0, 0.0)) > 0.42 else (0.96, 0.96, 0.95),
        shadow=rng.uniform(0.25, 0.5) if rng.random() < 0.6 else 0.0,
        mirrored=shape == "fish" and rng.random() < 0.5,
    )


def compose(
    rng: np.random.Generator,
    extent: tuple[float, float] = (1.0, 1.0),
    *,
    shapes: Sequence[str] = tuple(SHAPES),
    objects: tuple[int, int] = (1, 6),
    empty: float = 0.04,
) -> Scene:
    """A random scene of ``objects[0]``…``objects[1]`` things of the classes ``shapes``, or of none at all.

    ``extent`` is the picture's height and width in units of its shorter side; ``empty`` the share of scenes without
    things. What is hidden later leaves the scene, so a few show fewer than the least.
    """
    ground = _pick(rng, GROUNDS)
    if rng.random() < 0.5:
        ground = (ground[1], ground[0])
    count = 0 if rng.random() < empty else int(rng.integers(objects[0], objects[1], endpoint=True))
    items: list[Item] = []
    for _ in range(count):
        items.append(_item(rng, shapes, items, ground, extent))
    return Scene(
        items=tuple(items),
        ground=ground,
        texture=_pick(rng, TEXTURES),
        grain=int(rng.integers(2**32)),
        light=(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)),
        blur=rng.uniform(0.3, 1.0) if rng.random() < 0.25 else 0.0,
        noise=rng.uniform(0.0, 0.04),
    )
