"""Label maps over their pictures: a veil of each class's colour, its border, and what the colours mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from baimu.draw.boxes import as_picture
from baimu.draw.charts import short
from baimu.draw.classes import Row, enlarged, write_rows
from baimu.draw.colours import Rgb, class_colour
from baimu.draw.fonts import face_for, font
from baimu.draw.sheet import INK, PAPER
from baimu.results import Segmentation

CLEAR = "background"
"""A first class of this name has no veil."""
UNDECIDED: Rgb = (224, 224, 192)  # of the palette: VOC's colour for 255
SWATCH = 14  # pixels of a colour in a sheet's legend, and of a letter
TOLD = 12  # classes in a picture's legend, at most


def draw_segmentation(
    image: np.ndarray | Image.Image,
    found: Segmentation,
    *,
    scale: int | None = None,
    opacity: float = 0.55,
    show_names: bool = True,
    font_size: int | None = None,
    labels_only: bool = False,
) -> Image.Image:
    """The picture under the classes of ``found``, with the names and shares of the largest ones unless ``show_names``
    is false.

    ``image`` is uint8 RGB or grey, or any PIL image; it is not changed. ``scale``: whole factor by which it is enlarged
    first; by default one that makes a small picture legible. ``labels_only``: a palette picture of the labels instead,
    whose values they are. Raises ``ValueError`` when the picture's size is not that of the result.
    """
    if labels_only:
        return palette_picture(found.labels, found.names)
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(found.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the labels are of a "
            f"{found.size[0]} x {found.size[1]} picture (source {found.source!r})"
        )
    drawn = overlay(picture, found.labels, found.names, scale=scale, opacity=opacity)
    if not show_names:
        return drawn
    rows: list[Row] = [(a.name, f"{a.share:.1%}", a.share, class_colour(a.label)) for a in found.areas[:TOLD]]
    return write_rows(drawn, rows, font_size=font_size)


def overlay(
    picture: np.ndarray | Image.Image,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    scale: int | None = None,
    opacity: float = 0.55,
) -> Image.Image:
    """The picture with a veil of each pixel's class, and the borders between classes in full colour. Undecided pixels
    (255) are hatched, background stays as it is."""
    base = as_picture(picture)
    shown = enlarged(base, scale)
    factor = shown.width // base.width
    labels = labels.repeat(factor, 0).repeat(factor, 1)
    colours = palette(names)
    veil = colours[labels]
    share = np.full(256, opacity, np.float32)
    share[255] = 0
    if is_clear(names):
        share[0] = 0
    weights = share[labels]
    weights[(labels == 255) & (np.add.outer(*map(np.arange, labels.shape)) % 8 < 2)] = 0.6
    weights[borders(labels) & (weights > 0)] = 1
    pixels = np.asarray(shown).astype(np.float32)
    mixed = pixels + (veil - pixels) * weights[..., None]
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def borders(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels beside one of another class."""
    found = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    return found


def palette(names: Sequence[str]) -> np.ndarray:
    """(256, 3) uint8: the colour of each label; black for background."""
    colours = np.zeros((256, 3), np.uint8)
    for label in range(len(names)):
        colours[label] = class_colour(label)
    if is_clear(names):
        colours[0] = 0
    colours[255] = UNDECIDED
    return colours


def is_clear(names: Sequence[str]) -> bool:
    """Whether the first class is background."""
    return bool(names) and names[0].strip("_").lower() == CLEAR


def palette_picture(labels: np.ndarray, names: Sequence[str]) -> Image.Image:
    """The labels (H, W) uint8 as a palette picture: values are labels."""
    picture = Image.fromarray(np.ascontiguousarray(labels)).convert("L")
    picture.putpalette(palette(names).ravel().tolist())
    return picture


def with_legend(page: Image.Image, names: Sequence[str]) -> Image.Image:
    """A sheet with a strip below it that says which colour is which class."""
    places: list[tuple[int, int, int, str]] = []
    x, y, first = SWATCH, 0, int(is_clear(names))
    for k, name in list(enumerate(names))[first:]:
        text = short(name)
        wide = 2 * SWATCH + math.ceil(font(SWATCH, face_for(text)).getlength(text))
        if x + wide > page.width and x > SWATCH:
            x, y = SWATCH, y + 2 * SWATCH
        places.append((k, x, y, text))
        x += wide + SWATCH
    whole = Image.new("RGB", (page.width, page.height + y + 3 * SWATCH), PAPER)
    whole.paste(page)
    pen = ImageDraw.Draw(whole)
    for k, x, y, text in places:
        top = page.height + y + SWATCH // 2
        pen.rectangle((x, top, x + SWATCH, top + SWATCH), class_colour(k))
        pen.text((x + SWATCH * 3 // 2, top - SWATCH // 8), text, INK, font(SWATCH, face_for(text)))
    return whole
