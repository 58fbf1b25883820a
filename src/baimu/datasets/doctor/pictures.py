"""Small pictures of what is wrong, for the page: the image, or the part of it around a box, with the box."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image, ImageDraw

from baimu.datasets.doctor.report import Finding
from baimu.datasets.images import decode_image
from baimu.errors import ImageError

SIDE = 240  # pixels of the longer side
CONTEXT = 3.0  # times the box's longer side that is shown of the image around it
RED, WHITE = (220, 38, 38), (255, 255, 255)


def offender(finding: Finding) -> str | None:
    """A JPEG in base64; none where the image cannot be decoded."""
    try:
        picture = Image.fromarray(decode_image(finding.image))
    except ImageError:
        return None
    picture = framed(picture, finding.box) if finding.box is not None else _scaled(picture)[0]
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return base64.b64encode(file.getvalue()).decode("ascii")


def framed(picture: Image.Image, box: tuple[float, ...]) -> Image.Image:
    """The part of a picture around a box, which is drawn; grey where that lies outside the picture."""
    x1, y1, x2, y2 = (float(np.clip(v, -4 * max(picture.size), 5 * max(picture.size))) for v in box)
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    whole = max(picture.size)
    reach = max(min(whole, CONTEXT * max(x2 - x1, y2 - y1, 8)), 1.15 * max(x2 - x1, y2 - y1))
    if reach >= 0.8 * whole:  # nearly all of it: then all, and the box even if it lies outside
        left, top = min(0.0, x1), min(0.0, y1)
        right, bottom = max(float(picture.width), x2), max(float(picture.height), y2)
    else:
        left, top = (x1 + x2 - reach) / 2, (y1 + y2 - reach) / 2
        right, bottom = left + reach, top + reach
        left, right = _inside(left, right, picture.width, x1, x2)
        top, bottom = _inside(top, bottom, picture.height, y1, y2)
    corner = (math.floor(left), math.floor(top))
    size = (max(1, math.ceil(right) - corner[0]), max(1, math.ceil(bottom) - corner[1]))
    cut = Image.new("RGB", size, (203, 208, 216))
    cut.paste(picture, (-corner[0], -corner[1]))
    cut, scale = _scaled(cut)
    pen = ImageDraw.Draw(cut)
    points = [(x1 - corner[0]) * scale, (y1 - corner[1]) * scale, (x2 - corner[0]) * scale, (y2 - corner[1]) * scale]
    points[2:] = [max(points[2], points[0] + 2), max(points[3], points[1] + 2)]
    pen.rectangle([points[0] - 1, points[1] - 1, points[2] + 1, points[3] + 1], outline=WHITE, width=4)
    pen.rectangle(points, outline=RED, width=2)
    return cut


def _inside(low: float, high: float, side: int, first: float, last: float) -> tuple[float, float]:
    """A window moved into 0…side, as far as the box stays in it."""
    shift = max(0.0, -low) - max(0.0, high - side)
    low, high = low + shift, high + shift
    return min(low, first), max(high, last)


def _scaled(picture: Image.Image) -> tuple[Image.Image, float]:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BICUBIC
    return picture.resize(size, how), scale
