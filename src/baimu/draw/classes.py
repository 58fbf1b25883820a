"""The classes of a picture written on it, with a bar for each probability, legible from a thumbnail to a poster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from baimu.draw.boxes import as_picture
from baimu.draw.colours import Rgb, class_colour
from baimu.draw.fonts import face_for, font, legible
from baimu.results import Classification

READABLE = 240  # pixels: a picture whose shorter side has less is enlarged before anything is written on it
LONGEST = 2000  # but not beyond this
SMALLEST = 10  # pixels of a letter
VEIL: Rgb = (18, 20, 24)
TRACK: Rgb = (90, 94, 102)

Row = tuple[str, str, float, Rgb]  # name, number, share of the bar, its colour


def draw_classes(
    image: np.ndarray | Image.Image,
    found: Classification,
    *,
    scale: int | None = None,
    font_size: int | None = None,
    opacity: float = 0.72,
) -> Image.Image:
    """The picture with the classes that ``found`` has to tell, best first, in a panel at its lower left.

    ``image`` is uint8 RGB or grey, or any PIL image; it is not changed. ``scale``: whole factor by which it is enlarged
    first; by default one that makes a small picture legible. ``font_size`` in pixels follows the picture; ``opacity``
    is the panel's. Raises ``ValueError`` when the picture's size is not that of the result.
    """
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(found.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the classes are of a "
            f"{found.size[0]} x {found.size[1]} picture (source {found.source!r})"
        )
    picture = enlarged(picture, scale)
    rows = [(g.name, f"{g.score:.1%}", g.score, class_colour(g.label)) for g in found.best]
    return write_rows(picture, rows, font_size=font_size, opacity=opacity)


def enlarged(picture: Image.Image, scale: int | None = None) -> Image.Image:
    """By a whole factor, given or so large that names fit, each pixel a square."""
    short, long = sorted(picture.size)
    scale = scale or max(1, min(math.ceil(READABLE / short), LONGEST // long))
    if scale == 1:
        return picture
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_rows(
    picture: Image.Image, rows: Sequence[Row], *, font_size: int | None = None, opacity: float = 0.72
) -> Image.Image:
    """``rows`` on a dark veil at the lower left, as many as there is room for; a name that is too long is shortened."""
    size = font_size or min(max(SMALLEST, round(math.sqrt(picture.width * picture.height) / 34)), 56)
    if font_size is None:  # smaller letters rather than fewer rows, down to the smallest that can be read
        size = min(size, max(SMALLEST, math.floor(0.6 * picture.height / (1.75 * max(len(rows), 1)))))
    pitch, margin = round(1.75 * size), max(2, size // 2)
    rows = rows[: max(1, (picture.height - margin) // pitch)]
    if not rows:
        return picture
    room = picture.width - 2 * margin
    texts = [_fit(name, number, room, size) for name, number, _, _ in rows]
    widths = [face.getlength(name) + size + font(size).getlength(number) for name, number, face in texts]
    width = min(room, max(math.ceil(max(widths)), 9 * size))
    panel = Image.new("RGB", (width + 2 * margin, min(picture.height, len(rows) * pitch + margin)), VEIL)
    corner = (0, picture.height - panel.height)
    behind = picture.crop((*corner, panel.width, picture.height))
    picture.paste(Image.blend(behind, panel, opacity), corner)
    pen = ImageDraw.Draw(picture)
    for i, ((name, number, face), (_, _, share, colour)) in enumerate(zip(texts, rows, strict=True)):
        top = corner[1] + margin // 2 + i * pitch
        pen.text((margin, top), name, "white", face)
        pen.text((margin + width, top), number, "white", font(size), anchor="ra")
        bar, thick = top + round(1.3 * size), max(2, size // 5)
        pen.rectangle((margin, bar, margin + width - 1, bar + thick - 1), TRACK)
        if share > 0:
            pen.rectangle((margin, bar, margin + max(1, round(share * width)) - 1, bar + thick - 1), colour)
    return picture


def _fit(name: str, number: str, room: float, size: int) -> tuple[str, str, Any]:
    """The name or its beginning, and its number if there is room for more than that, and the name's face."""
    name = legible(" ".join(name.split()))
    face = font(size, face_for(name))
    taken = font(size).getlength(number) + size
    if room - taken < 3 * size:
        number, taken = "", 0
    if face.getlength(name) > room - taken:
        while name and face.getlength(name + "…") > room - taken:
            name = name[:-1]
        name += "…"
    return name, number, face
