"""Sheets of pictures: mosaics with captions, what a training batch looks like, truth beside prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageDraw

from baimu.draw.boxes import as_picture, draw_detections, draw_objects
from baimu.draw.colours import Rgb
from baimu.draw.fonts import face_for, font, legible
from baimu.results import Detections
from baimu.targets import Batch

PAPER: Rgb = (255, 255, 255)
INK: Rgb = (40, 42, 46)
GAP = 8  # pixels between cells and around the sheet
LARGEST = 16_000  # pixels: a longer side than this many programs refuse to open


@runtime_checkable
class Annotated(Protocol):
    """True objects of one picture, as a data set gives them: boxes (n, 4) xyxy in its pixels, labels, masks or None."""

    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None


def sheet(
    pictures: Sequence[np.ndarray | Image.Image],
    columns: int | None = None,
    *,
    titles: Sequence[str] | None = None,
    cell: int | None = None,
) -> Image.Image:
    """All pictures on one page, row by row, each centred in its cell, with its title above it.

    ``columns`` defaults to a page about as wide as high. ``cell`` scales each picture so that its longer side has
    that many pixels. Raises ``ValueError`` without pictures, or if the page would be longer than 16,000 pixels.
    """
    if not pictures or (titles is not None and len(titles) != len(pictures)):
        raise ValueError(f"a sheet needs pictures and a title for each or none; got {len(pictures)} pictures")
    shown = [as_picture(picture) if cell is None else resized(as_picture(picture), cell) for picture in pictures]
    width, height = max(p.width for p in shown), max(p.height for p in shown)
    columns = min(columns or math.ceil(math.sqrt(len(shown) * height / width)), len(shown))
    size = min(max(11, round(math.sqrt(width * height) / 24)), 28)
    head = round(1.6 * size) if titles else 0
    rows = math.ceil(len(shown) / columns)
    page_size = (GAP + columns * (width + GAP), GAP + rows * (head + height + GAP))
    if max(page_size) > LARGEST:
        raise ValueError(
            f"a sheet of {page_size[0]} x {page_size[1]} pixels is too large; give fewer pictures or cell="
        )
    page = Image.new("RGB", page_size, PAPER)
    pen = ImageDraw.Draw(page)
    for i, picture in enumerate(shown):
        x, y = GAP + (i % columns) * (width + GAP), GAP + (i // columns) * (head + height + GAP)
        if titles:
            _write(pen, titles[i], x, y, width, size)
        page.paste(picture, (x + (width - picture.width) // 2, y + head + (height - picture.height) // 2))
    return page


def batch_sheet(
    batch: Batch, names: Sequence[str], *, limit: int = 16, columns: int | None = None, **style: Any
) -> Image.Image:
    """What the network is shown: the first ``limit`` images of a batch with their targets, padding cut off.

    ``style`` as for :func:`~baimu.draw.boxes.draw_objects`; small images are enlarged.
    """
    count = min(limit, len(batch))
    images = batch.inputs[:count].permute(0, 2, 3, 1).cpu().numpy()
    targets = batch.targets.to("cpu")
    look = {"scale": enlargement([tuple(size) for size in targets.sizes[:count].tolist()]), **style}
    pictures = []
    for i in range(count):
        height, width = targets.sizes[i].tolist()
        real = targets.valid[i]
        masks = None if targets.masks is None else targets.masks[i].numpy()[:, :height, :width]
        boxes, labels = targets.boxes[i][real].numpy(), targets.labels[i][real].numpy()
        pictures.append(draw_objects(images[i, :height, :width], boxes, labels, names, masks=masks, **look))
    return sheet(pictures, columns, titles=[PurePath(name).name for name in batch.names[:count]])


def comparison_sheet(
    images: Sequence[np.ndarray | Image.Image],
    truths: Sequence[Annotated],
    detections: Sequence[Detections],
    *,
    min_score: float = 0.3,
    columns: int | None = None,
    masks: bool = False,
    **style: Any,
) -> Image.Image:
    """Pairs of the same picture: at the left what is there, at the right what was found.

    ``columns`` counts pairs (default 1 to 3, by how many there are). True ``masks`` are left out unless asked for.
    """
    pictures: list[Image.Image] = []
    titles: list[str] = []
    look = {"scale": enlargement([found.size for found in detections]), **style}
    for image, truth, found in zip(images, truths, detections, strict=True):
        veil = truth.masks if masks else None
        pictures.append(draw_objects(image, truth.boxes, truth.labels, found.names, masks=veil, **look))
        pictures.append(draw_detections(image, found, min_score=min_score, **look))
        shown = int((found.scores >= min_score).sum())
        titles += [f"truth: {_things(len(truth.boxes))}", f"found: {_things(shown)}"]
    pairs = columns or min(3, math.ceil(math.sqrt(max(len(images), 1) / 2)))
    return sheet(pictures, 2 * pairs, titles=titles)


def enlargement(sizes: Sequence[tuple[int, ...]]) -> int:
    """One whole factor for all pictures that brings the shortest side to about 240 pixels, so that names fit on it."""
    return max(1, round(240 / min((min(size) for size in sizes), default=240)))


def _things(count: int) -> str:
    return f"{count} object{'' if count == 1 else 's'}"


def resized(picture: Image.Image, cell: int) -> Image.Image:
    """So that the longer side has ``cell`` pixels."""
    scale = cell / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _write(pen: ImageDraw.ImageDraw, title: str, x: int, y: int, room: int, size: int) -> None:
    """A title in one line; of one that is too long the end stays, for that is where file names differ."""
    title = legible(" ".join(title.split()))
    face = font(size, face_for(title))
    if face.getlength(title) > room:
        while title and face.getlength("…" + title) > room:
            title = title[1:]
        title = "…" + title
    pen.text((x, y), title, INK, face)
