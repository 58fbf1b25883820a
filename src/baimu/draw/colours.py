"""One colour a class, the same in every picture, chart and run."""

from __future__ import annotations

import functools
import math

Rgb = tuple[int, int, int]  # 0…255

GOLDEN_TURN = math.pi * (3 - math.sqrt(5))  # successive hues this far apart never come close to each other
LEVELS = ((0.70, 0.17), (0.60, 0.19), (0.82, 0.14))  # lightness, chroma: neighbours in label order differ in both


@functools.lru_cache(maxsize=4096)
def class_colour(label: int) -> Rgb:
    """The colour of a label, a function of its number alone: hues a golden angle apart, equally strong to the eye."""
    lightness, chroma = LEVELS[label % len(LEVELS)]
    hue = 0.45 + label * GOLDEN_TURN
    return oklch(lightness, chroma, hue)


def oklch(lightness: float, chroma: float, hue: float) -> Rgb:
    """A colour of the perceptual space OKLCH (B. Ottosson, 2020) in sRGB, clipped to what a screen can show."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * _gamma(min(max(part, 0.0), 1.0))) for part in linear)
    return red, green, blue


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def luminance(colour: Rgb) -> float:
    """Relative luminance of WCAG 2, 0 (black) … 1 (white)."""
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_on(colour: Rgb) -> Rgb:
    """Black or white, whichever reads better on ``colour``."""
    return (0, 0, 0) if luminance(colour) > 0.179 else (255, 255, 255)
