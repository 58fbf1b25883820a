"""A line of text with what was read under it, each letter in a colour that tells how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from baimu.draw.boxes import as_picture
from baimu.draw.colours import Rgb
from baimu.draw.fonts import face_for, font, legible
from baimu.results.reading import Reading

LEAST = 48  # pixels: a lower line is enlarged to at least this height
PAPER: Rgb = (255, 255, 255)
INK: Rgb = (26, 28, 32)
QUIET: Rgb = (120, 126, 136)
DOUBT: Rgb = (196, 120, 0)
WRONG: Rgb = (204, 32, 40)
SURE, LIKELY = 0.9, 0.6
"""A letter that is less sure is drawn in orange, and below the second in red."""


def draw_reading(
    image: np.ndarray | Image.Image, found: Reading, *, truth: str | None = None, font_size: int | None = None
) -> Image.Image:
    """The line, enlarged where it is small, and under it what was read, with its probability and, if given, the truth.

    ``image`` is uint8 RGB or grey, or any PIL image; it is not changed. Raises ``ValueError`` when its size is not
    that of the result.
    """
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(found.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the text is of a "
            f"{found.size[0]} x {found.size[1]} picture (source {found.source!r})"
        )
    rows = [(found.text, [_shade(c) for c in found.confidences.tolist()], f"{found.score:.1%}")]
    if truth is not None:
        rows.append((truth, [QUIET] * len(truth), "truth"))
    return with_rows(picture, rows, font_size=font_size)


def with_rows(
    picture: Image.Image, rows: Sequence[tuple[str, Sequence[Rgb], str]], *, font_size: int | None = None
) -> Image.Image:
    """The picture and under it ``rows``: a text, a colour for each of its letters, and a note at the right."""
    scale = max(1, math.ceil(LEAST / picture.height))
    if scale > 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC)
    size = font_size or min(max(14, round(0.4 * picture.height)), 48)
    small = font(max(10, round(0.6 * size)))
    texts = [(legible(text), colours, note) for text, colours, note in rows]
    needed = max(font(size, face_for(t)).getlength(t) + small.getlength(note) + 2 * size for t, _, note in texts)
    pitch = round(1.5 * size)
    width = max(picture.width, math.ceil(needed))
    page = Image.new("RGB", (width, picture.height + pitch * len(texts) + size // 3), PAPER)
    page.paste(picture, (0, 0))
    pen = ImageDraw.Draw(page)
    for number, (text, colours, note) in enumerate(texts):
        top = picture.height + size // 5 + number * pitch
        face = font(size, face_for(text))
        for place, (letter, colour) in enumerate(zip(text, colours, strict=True)):
            pen.text((size // 3 + face.getlength(text[:place]), top), letter, colour, face)
        pen.text((width - size // 3, top + size // 3), note, QUIET, small, anchor="ra")
    return page


def _shade(confidence: float) -> Rgb:
    return INK if confidence >= SURE else DOUBT if confidence >= LIKELY else WRONG
