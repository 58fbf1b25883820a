"""Paints a laid-out playground scene. Pictures are planes (3, H, W) float32 in 0…1 until the last line."""

from __future__ import annotations

import functools
import math

import numpy as np

from baimu.datasets.scenes import Colour, Layout, Placed, Scene, overlap
from baimu.datasets.shapes import SHAPES, length

TAU = 2 * math.pi


def paint(scene: Scene, layout: Layout) -> np.ndarray:
    """The picture of a scene, RGB uint8 (H, W, 3)."""
    height, width = layout.owner.shape
    rng = np.random.Generator(np.random.PCG64(scene.grain))
    picture = _mix(*scene.ground, _texture(rng, scene.texture, height, width))
    for placed in layout.placed:
        _paint_item(picture, placed, math.copysign(1, scene.light[0]))
    _blur(picture, scene.blur)
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    picture *= 255 * (1 + scene.light[0] * across[None, :] + scene.light[1] * down[:, None])
    noise = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width).astype(np.float32)
    picture += (noise - 127.5) * (2 * scene.noise) + 0.5  # 127.5 is half of white, and astype rounds down
    return np.ascontiguousarray(picture.clip(0, 255, out=picture).astype(np.uint8).transpose(1, 2, 0))


def _mix(first: Colour, second: Colour, share: np.ndarray) -> np.ndarray:
    """(3, h, w): ``first`` where ``share`` is 0, ``second`` where it is 1."""
    mixed = (_flat(second) - _flat(first)) * share
    mixed += _flat(first)
    return mixed


def _noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Smooth random hills (H, W) in 0…1, about ``cell`` pixels wide: random numbers on a grid, eased between."""
    (i, y), (j, x) = _cells(height, cell), _cells(width, cell)
    grid = rng.random((i[-1] + 2, j[-1] + 2), dtype=np.float32)
    across = grid[:, j]  # the columns first, while there are few rows
    across += (grid[:, j + 1] - across) * x
    hills = across[i]
    hills += (across[i + 1] - hills) * y[:, None]
    return hills


@functools.lru_cache(maxsize=64)
def _cells(count: int, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``count`` pixels, the number of its cell and how far into it the pixel lies, eased at both ends."""
    whole = np.arange(count) / cell
    number = whole.astype(np.int64)
    share = (whole - number).astype(np.float32)
    return number, share * share * (3 - 2 * share)


def _steep(wave: np.ndarray, steepness: float) -> np.ndarray:
    """A wave in −1…1 as a share in 0…1 with flat tops and soft edges."""
    return (0.5 + steepness * wave).clip(0, 1)


def _texture(rng: np.random.Generator, kind: str, height: int, width: int) -> np.ndarray:
    """How much of the ground's second colour shows, (H, W) in about 0…1, always with a little fine grain."""
    short = min(height, width)
    angle = rng.uniform(0, TAU)
    across = np.arange(width, dtype=np.float32)[None, :]
    down = np.arange(height, dtype=np.float32)[:, None]
    x = across * math.cos(angle) + down * math.sin(angle)
    y = down * math.cos(angle) - across * math.sin(angle)
    rate = TAU / (short * rng.uniform(0.08, 0.25))
    if kind == "gradient":
        share = 0.5 + x / (height + width)
    elif kind == "clouds":
        share = 0.55 * _noise(rng, height, width, short / 3) + 0.3 * _noise(rng, height, width, short / 8)
    elif kind == "stripes":
        share = _steep(np.sin(rate * x), 2.0)
    elif kind == "checks":
        share = _steep(np.sin(rate * x) * np.sin(rate * y), 4.0)
    elif kind == "blotches":
        share = _steep(_noise(rng, height, width, short / 5) - 0.5, 6.0)
    elif kind == "waves":
        share = 0.5 + 0.5 * np.sin(rate * x + 1.5 * np.sin(rate * 0.5 * y))
    elif kind == "dots":
        share = _steep(np.sin(rate * x) * np.sin(rate * y) - 0.45, 5.0)
    else:  # weave: threads over and under
        share = 0.5 + 0.25 * (np.sin(2 * rate * x) + np.sin(2 * rate * y))
    grain = _noise(rng, height, width, max(short / 50, 1.5))
    large = _noise(rng, height, width, short / 2)
    return share * 0.8 + grain * 0.25 + large * 0.5 - 0.25


def _pattern(placed: Placed) -> np.ndarray:
    """How much of the item's second colour shows inside it. Patterns too fine for the pixels are left out."""
    item, u, v = placed.item, placed.u, placed.v
    period = item.period * placed.radius  # pixels
    if item.pattern == "gradient":
        return (0.5 + 0.5 * v).clip(0, 1)
    if item.pattern == "plain" or period < 5:
        return np.zeros((1, 1), np.float32)
    rate = TAU / item.period
    if item.pattern == "stripes":
        return _steep(np.sin(rate * u), 0.25 * period)
    wave = np.sin(0.7 * rate * u) * np.sin(0.7 * rate * v)
    return _steep(wave if item.pattern == "checks" else wave - 0.4, 0.3 * period)


def _paint_item(picture: np.ndarray, placed: Placed, light: float) -> None:
    """Shadow, then body with pattern, outline, eye and a little roundness; soft edges by distance."""
    item, distance, radius = placed.item, placed.distance, placed.radius
    height, width = picture.shape[1:]
    if item.shadow:
        offset = max(1, round(radius * 0.1))
        common = overlap(placed, height, width, offset, round(-light * offset))
        if common is not None:
            (rows, columns), window = common
            softness = 1 + radius * 0.12
            picture[:, rows, columns] *= 1 - item.shadow * (0.5 - distance[window] / softness).clip(0, 1)
    common = overlap(placed, height, width)
    if common is None:
        return
    (rows, columns), window = common
    body = _mix(item.colour, item.second, _pattern(placed))
    body = body * (1 + 0.12 * (light * placed.u - placed.v))
    if item.outline:
        edge = min(max(item.outline * radius, 1.0), 0.4 * -float(distance.min()))  # strokes keep their colour
        body += (_flat(item.line) - body) * (0.5 + edge + distance).clip(0, 1)
    eye = SHAPES[item.shape].eye
    if eye and radius > 6:
        off = (length(placed.u - eye[0], placed.v - eye[1]) - eye[2]) * radius
        body += (0.97 - body) * (0.5 - off).clip(0, 1)
        body += (0.05 - body) * (0.5 - off - 0.5 * eye[2] * radius).clip(0, 1)
    cover = (0.5 - distance[window]).clip(0, 1)
    under = picture[:, rows, columns]
    under += (body[:, *window] - under) * cover


def _flat(colour: Colour) -> np.ndarray:
    return np.array(colour, np.float32)[:, None, None]


def _blur(picture: np.ndarray, strength: float) -> None:
    """Blend in the 3 x 3 binomial average, in place; the outermost pixels keep their own."""
    if strength:
        for plane in (picture, picture.transpose(0, 2, 1)):
            neighbours = plane[:, :-2] + plane[:, 2:]
            plane[:, 1:-1] += (0.5 * neighbours - plane[:, 1:-1]) * (0.5 * strength)
