"""Tracks on pictures: a colour for each identity, its number, and the way it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from baimu.draw.boxes import Style, as_picture, draw_objects
from baimu.draw.charts import figure, styled
from baimu.draw.colours import class_colour
from baimu.results import Tracks

Trails = Mapping[int, Sequence[tuple[float, float]]]
"""Of each id the places, x and y in pixels, where it stood before, the oldest first."""


def draw_tracks(
    image: np.ndarray | Image.Image,
    tracks: Tracks,
    *,
    trails: Trails | None = None,
    min_score: float = 0.0,
    **style: Any,
) -> Image.Image:
    """The picture with all tracks of at least ``min_score``, each in the colour of its id, and their ``trails``.

    ``style`` as in :class:`~baimu.draw.boxes.Style`. Raises ``ValueError`` when the picture's size is not theirs.
    """
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(tracks.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the tracks are in pixels of a "
            f"{tracks.size[0]} x {tracks.size[1]} picture (source {tracks.source!r})"
        )
    shown = tracks[tracks.scores >= min_score]
    how = Style(**style)
    pen = ImageDraw.Draw(picture)
    for number in shown.ids.tolist():
        places = [tuple(place) for place in (trails or {}).get(number, ())]
        if len(places) > 1:
            pen.line(places, class_colour(number), max(1, how.line(picture.width, picture.height) - 1), joint="curve")
    names = {number: f"{name} #{number}" for number, name in zip(shown.ids.tolist(), shown.class_names, strict=True)}
    return draw_objects(picture, shown.boxes, shown.ids, names, shown.scores, shown.masks, **style)


def one_pass_curves(
    success: tuple[np.ndarray, np.ndarray], precision: tuple[np.ndarray, np.ndarray], auc: float, at_20: float
) -> Figure:
    """OTB's two charts: the share of frames above each IoU, and within each number of pixels; (thresholds, shares)."""
    made = figure(9, 3.8)
    left, right = made.subplots(1, 2)
    styled(left, f"Success, area {auc:.3f}", "IoU above", "share of frames")
    left.plot(*success, color="#2563eb", linewidth=2)
    styled(right, f"Precision, {at_20:.3f} within 20 pixels", "pixels from the centre", "share of frames")
    right.plot(*precision, color="#2563eb", linewidth=2)
    right.axvline(20, color="#9ca3af", linewidth=1, linestyle="--")
    for axes in (left, right):
        axes.set_ylim(0, 1.02)
    return made
