"""Colour changes of uint8 images in small integers: what torchvision's do, several times faster.

All changes of one jitter run over a few rows at a time, as int16 planes that stay in the processor's cache; every pass
is a plain SIMD one (masked numpy operations are ten times slower), and nothing is divided. Factors are multiples of
1/64, so that products fit 16 bits. Each function takes RGB uint8 (H, W, 3) and returns the same, as a view of
planar memory; each equals ``torchvision.transforms.v2.functional`` on uint8 tensors within one grey level (rounding,
where torchvision truncates) plus what the factor was rounded by; tests/datasets/test_color.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

Change = Callable[[np.ndarray], None]
"""Works in place on int16 planes (3, h, w) in 0…255."""

_ONE = 64  # factor 1; the largest factor is 2, as 255 * 2 * 64 still fits int16
_GREY = np.array([77, 150, 29], np.uint16)[:, None, None]  # of 256: 0.299, 0.587, 0.114
_BLOCK = 1 << 15  # pixels whose planes and temporaries fit into the second-level cache
_MEAN_SIDE = 128  # the mean grey of a jitter's contrast is that of about this many rows and columns


def color_jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation times 1 ± ``strength``, hue ± a tenth of it of the circle, in random order."""
    low, high = max(0.0, 1.0 - strength), min(2.0, 1.0 + strength)
    factors = rng.uniform(low, high, 3)
    shift = rng.uniform(-strength / 10, strength / 10)
    every = max(1, min(image.shape[:2]) // _MEAN_SIDE)
    changes: list[Change] = []
    for step in rng.permutation(4).tolist():
        if step == 0:
            changes.append(brightness(factors[0]))
        elif step == 1:
            changes.append(contrast(factors[1], mean_grey(image[::every, ::every], changes)))
        elif step == 2:
            changes.append(saturation(factors[2]))
        else:
            changes.append(hue(shift))
    return change_colors(image, changes)


def photometric_distortion(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """SSD's (1512.02325, its code): brightness ± 32, contrast times 0.5 to 1.5 before or after saturation times 0.5 to
    1.5 and hue ± 18 degrees, each with this ``probability``. Contrast is measured from black, and saturation, unlike
    there, from each pixel's grey."""
    wanted = rng.random(4) < probability
    amount, factors = int(rng.integers(-32, 33)), rng.uniform(0.5, 1.5, 2)
    turn, first = rng.uniform(-0.05, 0.05), rng.random() < 0.5
    changes: list[Change] = [partial(_shift, amount=amount)] if wanted[0] else []
    stretch: list[Change] = [brightness(factors[0])] if wanted[1] else []
    colours: list[Change] = [saturation(factors[1])] if wanted[2] else []
    colours += [hue(turn)] if wanted[3] else []
    changes += [*stretch, *colours] if first else [*colours, *stretch]
    return change_colors(image, changes) if changes else image


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """``image * factor``, 0 <= factor <= 2."""
    return change_colors(image, [brightness(factor)])


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """``m + (image - m) * factor``, m the mean grey of the whole image, 0 <= factor <= 2."""
    return change_colors(image, [contrast(factor, mean_grey(image))])


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """``g + (image - g) * factor``, g the grey of each pixel, 0 <= factor <= 2."""
    return change_colors(image, [saturation(factor)])


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """The hue of HSV turned by ``shift`` of the whole circle, saturation and value kept."""
    return change_colors(image, [hue(shift)])


def brightness(factor: float) -> Change:
    """Every channel times ``factor``."""
    return partial(_stretch, factor=_fixed(factor), centre=0)


def contrast(factor: float, mean: int) -> Change:
    """Away from the grey level ``mean`` by ``factor``."""
    return partial(_stretch, factor=_fixed(factor), centre=mean)


def saturation(factor: float) -> Change:
    """Away from each pixel's grey by ``factor``."""
    return partial(_stretch, factor=_fixed(factor), centre=None)


def hue(shift: float) -> Change:
    """Around HSV's circle by ``shift`` of it: whole thirds change channels, the rest is at most two twelfths."""
    thirds = round(3 * shift)
    sixths = 6 * shift - 2 * thirds
    times = 1 if abs(sixths) <= 0.5 else 2
    return partial(_turn_hue, thirds=thirds, amount=round(256 * sixths / times), times=times)


def change_colors(image: np.ndarray, changes: Sequence[Change]) -> np.ndarray:
    """The image after ``changes``, one after the other."""
    height, width, _ = image.shape
    out = np.empty((3, height, width), np.uint8)
    rows = max(1, _BLOCK // max(width, 1))
    for top in range(0, height, rows):
        planes = image[top : top + rows].transpose(2, 0, 1).astype(np.int16, order="C")
        for change in changes:
            change(planes)
        out[:, top : top + rows] = planes
    return out.transpose(1, 2, 0)


def _fixed(factor: float) -> int:
    if not 0 <= factor <= 2:
        raise ValueError(f"a colour factor must lie between 0 and 2, got {factor}")
    return round(factor * _ONE)


def mean_grey(image: np.ndarray, changes: Sequence[Change] = ()) -> int:
    """Mean grey of the image after ``changes``."""
    planes = change_colors(image, changes).transpose(2, 0, 1)
    sums = planes.sum(axis=(1, 2), dtype=np.int64)
    return round(float(sums @ _GREY.ravel().astype(np.int64)) / (256 * max(planes[0].size, 1)))


def _stretch(planes: np.ndarray, *, factor: int, centre: int | None) -> None:
    """Away from ``centre`` (None: each pixel's grey) by factor / 64."""
    if centre is None:
        grey = ((planes.view(np.uint16) * _GREY).sum(axis=0, dtype=np.uint16) >> 8).view(np.int16)
        shift = grey * np.int16(_ONE - factor)
        shift += np.int16(_ONE // 2)
    else:
        shift = np.int16(centre * (_ONE - factor) + _ONE // 2)
    planes *= np.int16(factor)
    planes += shift  # at most 255 * 128 + 32, however factor and centre lie
    planes >>= 6
    if factor > _ONE:
        np.clip(planes, 0, 255, out=planes)


def _shift(planes: np.ndarray, *, amount: int) -> None:
    """Every channel plus ``amount``."""
    planes += np.int16(amount)
    np.clip(planes, 0, 255, out=planes)


def _turn_hue(planes: np.ndarray, *, thirds: int, amount: int, times: int) -> None:
    """Hue turned by ``thirds`` of the circle and ``times`` ``amount`` / 256 sixths, |amount| <= 128.

    With chroma c = max − min, a turn forward adds d = c * amount / 256 to a channel, as to green while red is largest,
    less what the next channel stands in the way, by one formula for all sectors of the circle:
    x' = clip(x + d − min(next − min, clip(next − x + 2d, 0, 2d)), min, max). Turned back, "next" is the one before.
    """
    if thirds % 3:
        planes[:] = np.roll(planes, thirds, axis=0)
    largest = planes.max(axis=0)
    smallest = planes.min(axis=0)
    d = largest - smallest
    d *= np.int16(abs(amount))
    d += np.int16(127)  # half a sixth of an odd chroma is rounded down: the formula holds for 2d <= c
    d >>= 8
    d2 = d + d
    zero = np.zeros_like(d)  # np.maximum with a number is nine times slower than with an array
    for _ in range(times):
        neighbour = planes.take([1, 2, 0] if amount > 0 else [2, 0, 1], axis=0)
        less = neighbour - planes
        less += d2
        np.maximum(less, zero, out=less)
        np.minimum(less, d2, out=less)
        neighbour -= smallest
        np.minimum(less, neighbour, out=less)
        planes += d
        planes -= less
        np.maximum(planes, smallest, out=planes)
        np.minimum(planes, largest, out=planes)
