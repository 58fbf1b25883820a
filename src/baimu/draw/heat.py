"""A heat map over its picture: what is cold stays as it is."""

from __future__ import annotations

import matplotlib
import numpy as np
from PIL import Image

from baimu.draw.boxes import as_picture, draw_objects
from baimu.draw.classes import enlarged, write_rows
from baimu.draw.colours import class_colour
from baimu.results import Explanation


def draw_explanation(
    image: np.ndarray | Image.Image,
    found: Explanation,
    *,
    scale: int | None = None,
    opacity: float = 0.75,
    show_names: bool = True,
) -> Image.Image:
    """The picture under the heat of ``found``, of at most ``opacity``, with the boxes and, unless ``show_names`` is
    false, the class that are explained.

    ``image`` is uint8 RGB or grey, or any PIL image; it is not changed. ``scale`` as of
    :func:`~baimu.draw.classes.draw_classes`. Raises ``ValueError`` when the picture's size is not that of the result.
    """
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(found.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the heat is of a "
            f"{found.size[0]} x {found.size[1]} picture (source {found.source!r})"
        )
    grown = enlarged(picture, scale)
    heat = found.heat_at(grown.height, grown.width)
    colours = np.rint(matplotlib.colormaps["turbo"](np.linspace(0, 0.92, 256))[:, :3] * 255).astype(np.uint8)
    warm = Image.fromarray(colours[np.rint(heat * 255).astype(np.uint8)])
    grown.paste(warm, mask=Image.fromarray(np.rint(heat * (255 * opacity)).astype(np.uint8)))
    if len(found.boxes):
        boxes = found.boxes * np.float32(grown.height / picture.height)
        grown = draw_objects(grown, boxes, np.full(len(boxes), found.label), found.names, show_names=False)
    if show_names:
        write_rows(grown, [(found.name, f"{found.score:.1%}", found.score, class_colour(max(found.label, 0)))])
    return grown
