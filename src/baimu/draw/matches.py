"""What a search found: the query and the images nearest to it, row by row, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from baimu.draw.boxes import as_picture
from baimu.draw.colours import Rgb
from baimu.draw.sheet import PAPER, resized, sheet
from baimu.results import Embedding, Matches

RIGHT, WRONG, PLAIN, ASKED = (42, 157, 92), (228, 87, 46), (203, 207, 214), (40, 42, 46)
FRAME = 4  # pixels around a picture
CELL = 180  # pixels of its longer side


class Neighbour(NamedTuple):
    """One answer: its picture, what stands above it, and whether it is right, where that is known."""

    picture: Image.Image
    title: str
    right: bool | None = None


def match_sheet(rows: Sequence[tuple[Image.Image, str, Sequence[Neighbour]]]) -> Image.Image:
    """A row for each query: its picture and title, framed dark, then its answers, right ones in green, wrong ones in
    red. Shorter rows end in nothing."""
    width = max(len(answers) for _, _, answers in rows)
    pictures: list[Image.Image] = []
    titles: list[str] = []
    for picture, title, answers in rows:
        nothing = [Neighbour(Image.new("RGB", (1, 1), PAPER), "")] * (width - len(answers))
        for shown, above, colour in [(picture, title, ASKED), *((n.picture, n.title, _colour(n)) for n in answers)]:
            pictures.append(ImageOps.expand(shown.convert("RGB"), FRAME, colour))
            titles.append(above)
        pictures += [n.picture for n in nothing]
        titles += [n.title for n in nothing]
    return sheet(pictures, width + 1, titles=titles)


def _colour(neighbour: Neighbour) -> Rgb:
    return {True: RIGHT, False: WRONG, None: PLAIN}[neighbour.right]


def draw_matches(image: np.ndarray | Image.Image, found: Matches, *, cell: int = CELL) -> Image.Image:
    """The query and its answers in a row, with their names and cosines; each of ``cell`` pixels at its longer side."""
    answers = [
        Neighbour(resized(as_picture(match.read()), cell), f"{match.name} {match.similarity:.2f}".strip())
        for match in found.matches
    ]
    return match_sheet([(resized(as_picture(image), cell), "query", answers)])


def draw_embedding(image: np.ndarray | Image.Image, found: Embedding, *, cell: int | None = None) -> Image.Image:
    """The picture over a strip of its embedding: a stroke a number, blue where it is negative, red where positive.
    Alike pictures have alike strips."""
    picture = as_picture(image)
    picture = picture if cell is None else resized(picture, cell)
    strip = max(8, picture.height // 8)
    page = Image.new("RGB", (picture.width, picture.height + strip), PAPER)
    page.paste(picture, (0, 0))
    largest = float(np.abs(found.vector).max()) or 1.0
    values = found.vector / largest
    pen = ImageDraw.Draw(page)
    edges = np.linspace(0, picture.width, len(values) + 1).round().astype(int).tolist()
    for value, left, right in zip(values.tolist(), edges, edges[1:], strict=False):
        if right > left:
            pen.rectangle((left, picture.height, right - 1, page.height), _shade(value))
    return page


def _shade(value: float) -> Rgb:
    """White at 0, the full colour at ±1."""
    full = WRONG if value > 0 else (91, 141, 239)
    red, green, blue = (round(255 + (part - 255) * abs(value)) for part in full)
    return red, green, blue
