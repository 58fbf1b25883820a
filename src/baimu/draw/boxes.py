"""Boxes, names, scores and masks on pictures, legible from a thumbnail to a poster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from baimu.draw.colours import class_colour, text_on
from baimu.draw.fonts import face_for, font, legible
from baimu.masks import Masks
from baimu.results import Detections

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside


@dataclass(frozen=True)
class Style:
    """How things are drawn. Sizes in pixels of the finished picture; None follows the picture's own size."""

    scale: int = 1  # whole factor by which the picture is enlarged before drawing, for small ones
    line_width: int | None = None
    font_size: int | None = None
    show_names: bool = True  # with scores
    opacity: float = 0.45  # of masks

    def line(self, width: int, height: int) -> int:
        return self.line_width or max(1, round(math.sqrt(width * height) / 300 + 0.5))

    def font(self, width: int, height: int) -> int:
        return self.font_size or min(max(10, round(math.sqrt(width * height) / 45)), 64)


def draw_detections(
    image: np.ndarray | Image.Image, detections: Detections, *, min_score: float = 0.0, **style: Any
) -> Image.Image:
    """The picture with all detections of at least ``min_score``; ``style`` as in :class:`Style`.

    ``image`` is the picture that the boxes belong to, uint8 RGB or grey, or any PIL image; it is not changed.
    Raises ``ValueError`` when its size is not that of the detections.
    """
    picture = as_picture(image)
    if (picture.height, picture.width) != tuple(detections.size):
        raise ValueError(
            f"the picture is {picture.height} x {picture.width}, but the boxes are in pixels of a "
            f"{detections.size[0]} x {detections.size[1]} picture (source {detections.source!r})"
        )
    shown = detections[detections.scores >= min_score]
    return draw_objects(picture, shown.boxes, shown.labels, shown.names, shown.scores, shown.masks, **style)


def draw_objects(
    image: np.ndarray | Image.Image,
    boxes: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | Mapping[int, str],
    scores: np.ndarray | None = None,
    masks: Masks | np.ndarray | None = None,
    **style: Any,
) -> Image.Image:
    """The picture with ``boxes`` (n, 4) xyxy in its pixels, their names, scores and ``masks`` (n, H, W) if given.

    What lies outside the picture is cut; a name stays inside it, is shortened if it must be, and avoids the others
    if it can. The best score, or else the smallest box, ends on top.
    """
    how = Style(**style)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError("boxes must be finite")
    picture = as_picture(image)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-areas if scores is None else np.asarray(scores), kind="stable")
    colours = [class_colour(int(label)) for label in labels]
    if masks is not None and len(masks):
        picture = _tint(picture, masks if isinstance(masks, Masks) else Masks.of(masks), colours, order, how)
    if how.scale > 1:
        picture = picture.resize((picture.width * how.scale, picture.height * how.scale), Image.Resampling.NEAREST)
    line = how.line(picture.width, picture.height)
    pen = ImageDraw.Draw(picture)
    places = [_frame(box, picture, line) for box in boxes * how.scale]
    for i in order:
        if places[i] is not None:
            _draw_frame(pen, places[i], line, colours[i])
    if how.show_names:
        size = how.font(picture.width, picture.height)
        plates = Plates(pen, picture.width, picture.height, size)
        for i in order[::-1]:
            if places[i] is not None:
                score = None if scores is None else float(scores[i])
                plates.add(places[i], names[int(labels[i])], score, colours[i])
    return picture


def as_picture(image: np.ndarray | Image.Image) -> Image.Image:
    """An RGB copy of a PIL image or of a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); alpha on white."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
            raise ValueError(f"a picture must be uint8 (H, W) or (H, W, 3); got {image.dtype} {image.shape}")
        image = Image.fromarray(np.ascontiguousarray(image[:, :, 0] if image.shape[2:] == (1,) else image))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _tint(picture: Image.Image, masks: Masks, colours: list, order: np.ndarray, how: Style) -> Image.Image:
    """Lay each mask over the picture as a veil of its colour, and then its edge, which no other veil dims."""
    if masks.size != (picture.height, picture.width):
        raise ValueError(f"masks are {masks.size}, the picture is {(picture.height, picture.width)}")
    pixels = np.array(picture)
    shade = np.arange(256, dtype=np.float32)[:, None]
    for i in order:
        rows, columns, mask = masks.window(i)
        veiled = np.rint(shade + (np.array(colours[i], np.float32) - shade) * how.opacity).astype(np.uint8)
        window = pixels[rows, columns]
        for channel in range(3):
            window[..., channel][mask] = veiled[:, channel][window[..., channel][mask]]
    line = how.line(picture.width * how.scale, picture.height * how.scale)
    edge = max(1, round(0.75 * line / how.scale))
    for i in order:
        rows, columns, mask = masks.window(i)
        pixels[rows, columns][mask & ~_inner(mask, edge)] = colours[i]
    return Image.fromarray(pixels)


def _inner(mask: np.ndarray, distance: int) -> np.ndarray:
    """The pixels of which the whole square ``distance`` pixels around lies in the mask."""
    length = 2 * distance + 1
    for _ in range(2):
        total = np.cumsum(np.pad(mask, ((distance + 1, distance), (0, 0))), axis=0, dtype=np.int32)
        mask = (total[length:] - total[:-length] == length).T
    return mask


def _frame(box: np.ndarray, picture: Image.Image, line: int) -> Rectangle | None:
    """The pixels that a box covers, at least one, moved in from far outside; None if it does not touch the picture."""
    left, top, right, bottom = box
    if right < 0 or bottom < 0 or left >= picture.width or top >= picture.height:
        return None
    far = 4 * line + 2  # a side outside the picture stays outside, but not so far that drawing it overflows
    left, top = max(round(left), -far), max(round(top), -far)
    right, bottom = min(round(right), picture.width + far), min(round(bottom), picture.height + far)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _draw_frame(pen: ImageDraw.ImageDraw, place: Rectangle, line: int, colour: tuple) -> None:
    """A line around the covered pixels, half of it inside them; a thick one gets a dark rim, to show on any ground."""
    left, top, right, bottom = place
    out = line // 2
    if line > 1:
        rim = max(1, line // 4)
        for grow, width in ((out + rim, rim), (out - line, rim)):  # outside, then inside
            if right - left + 2 * grow > 2 * rim and bottom - top + 2 * grow > 2 * rim:
                pen.rectangle((left - grow, top - grow, right + grow - 1, bottom + grow - 1), None, (25, 25, 28), width)
    solid = min(right - left, bottom - top) + 2 * out <= 2 * line  # Pillow's outline of one pixel covers two
    pen.rectangle(
        (left - out, top - out, right + out - 1, bottom + out - 1),
        colour if solid else None,
        colour,
        0 if solid else line,
    )


class Plates:
    """Name plates on one picture. Each stays inside it and keeps clear of the earlier ones if there is room."""

    def __init__(self, pen: ImageDraw.ImageDraw, width: int, height: int, size: int) -> None:
        self._pen, self._width, self._height, self._size = pen, width, height, size
        self._margin = max(1, size // 5)
        self._taken: list[Rectangle] = []

    def add(self, place: Rectangle, name: str, score: float | None, colour: tuple[int, int, int]) -> None:
        """Write ``name`` and ``score`` above ``place``, or else below, inside or beside it."""
        name = legible(" ".join(name.split()))  # line ends and tabs would leave the plate
        face = font(self._size, face_for(name))
        text = self._fit(name, "" if score is None else f" {score:.2f}", face)
        ascent, descent = face.getmetrics()
        width, height = math.ceil(face.getlength(text)) + 2 * self._margin, ascent + descent + self._margin // 2
        spots = [self._inside(x, y, width, height) for x, y in self._candidates(place, width, height)]
        spot = next((s for s in spots if not any(_touch(s, other) for other in self._taken)), spots[0])
        self._taken.append(spot)
        self._pen.rectangle((spot[0], spot[1], spot[2] - 1, spot[3] - 1), fill=colour)
        self._pen.text((spot[0] + self._margin, spot[1] + self._margin // 4), text, text_on(colour), face)

    def _candidates(self, place: Rectangle, width: int, height: int) -> list[tuple[int, int]]:
        left, top, right, bottom = place
        above = (left, top - height) if top >= height else (left, top)
        below = (left, bottom)
        return [above, below, (right - width, top - height), (right, top), (left - width, top), (left, top)]

    def _inside(self, x: int, y: int, width: int, height: int) -> Rectangle:
        x, y = max(0, min(x, self._width - width)), max(0, min(y, self._height - height))
        return x, y, x + width, y + height

    def _fit(self, name: str, score: str, face: Any) -> str:
        """The longest of: name and score, name alone, the name's beginning, that is no wider than the picture."""
        room = self._width - 2 * self._margin
        if face.getlength(name + score) <= room:
            return name + score
        if face.getlength(name) <= room:
            return name
        while name and face.getlength(name + "…") > room:
            name = name[:-1]
        return name + "…"


def _touch(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
