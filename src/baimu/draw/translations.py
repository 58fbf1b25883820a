"""Sheets of images with what was made of them, and what it should have been."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from baimu.draw.boxes import as_picture
from baimu.draw.sheet import sheet
from baimu.results.picture import Picture

CELL = 256  # pixels of the longer side of a picture on a sheet
LEAST = 128  # smaller ones are enlarged to this


def draw_picture(image: np.ndarray | Image.Image, found: Picture) -> Image.Image:
    """The source, enlarged as much as the result, and the result beside it. Raises ``ValueError`` where the source has
    another size than the result says."""
    source = as_picture(image)
    if (source.height, source.width) != tuple(found.size):
        raise ValueError(
            f"the picture is {source.height} x {source.width}, but the result is of a {found.size[0]} x "
            f"{found.size[1]} picture (source {found.source!r})"
        )
    made = Image.fromarray(found.made)
    page = Image.new("RGB", (2 * made.width, made.height))
    page.paste(source.resize(made.size, Image.Resampling.NEAREST), (0, 0))
    page.paste(made, (made.width, 0))
    return page


def translation_sheet(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], *, notes: Sequence[str] | None = None, cell: int = CELL
) -> Image.Image:
    """A row an image: what went in, what came out, what it should be, under ``titles`` such as input, output, truth.

    ``notes``, one a row, stand beside the first title (a file's name, a figure). Pictures of a row may have several
    sizes: each is shown as large as ``cell``, enlarged without smoothing where it is smaller, so that pixels are seen.
    """
    pictures, heads = [], []
    for i, row in enumerate(rows):
        pictures += [_shown(as_picture(image), cell) for image in row]
        first = titles[0] if notes is None else f"{titles[0]}: {notes[i]}"
        heads += [first, *titles[1 : len(row)]]
    return sheet(pictures, len(titles), titles=heads)


def _shown(picture: Image.Image, cell: int) -> Image.Image:
    if max(picture.size) >= cell:
        scale = cell / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling.LANCZOS)
    scale = cell / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.NEAREST)
