"""Writing Pascal VOC: ``Annotations``, ``JPEGImages``, ``ImageSets/Main``, classes.txt, and where objects have outlines
``SegmentationObject`` with ``ImageSets/Segmentation``."""

from __future__ import annotations

import os
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from baimu.datasets.annotations import FileSource, has_masks
from baimu.datasets.formats.voc import MASKS
from baimu.datasets.writing.places import (
    Losses,
    Splits,
    copy_picture,
    distinct,
    picture_names,
    renamed,
    write_lines,
)

MOST = 254
"""Objects of an image that a mask file can number: 255 is undecided."""


def write_voc(splits: Splits, out: Path) -> Losses:
    """All images side by side, splits as lists: in these a blank ends a name."""
    losses = Losses()
    names = {split: picture_names(part) for split, part in splits.items()}
    unique = distinct(names, flat=True)
    losses.add("image files: renamed", renamed(names, unique))
    masked = any(has_masks(part) for part in splits.values())
    for split, part in splits.items():
        stems = []
        for index, name in enumerate(unique[split]):
            stem = os.path.splitext(name)[0]
            stems.append(stem)
            copy_picture(part, index, out / "JPEGImages" / name)
            rows = _held(part, index, losses)
            write_lines(out / "Annotations" / f"{stem}.xml", _xml(part, index, name, rows, losses))
            if masked:
                _write_masks(part, index, rows, out / MASKS / f"{stem}.png", losses)
        if split != "all":
            for folder in ("Main", "Segmentation") if masked else ("Main",):
                write_lines(out / "ImageSets" / folder / f"{split}.txt", stems)
        losses.add("class ids: VOC has names alone", 0 if _plain(part) else len(part.classes))
    write_lines(out / "classes.txt", next(iter(splits.values())).classes)
    return losses


def _plain(part: FileSource) -> bool:
    return list(part.category_ids) == list(range(len(part.classes)))


def _held(part: FileSource, index: int, losses: Losses) -> list[int]:
    """The objects that VOC can tell from clicks: corners count pixels, so a box is wider and higher than one."""
    first, count = part.spans[index].tolist()
    boxes = part.columns.boxes[first : first + count].astype(np.float64)
    wide = (boxes[:, 2:] > boxes[:, :2] + 1).all(1)
    losses.add("boxes of a pixel or less: left out, VOC's corners cannot say them", int((~wide).sum()))
    return (first + np.flatnonzero(wide)).tolist()


def _xml(part: FileSource, index: int, name: str, rows: list[int], losses: Losses) -> list[str]:
    height, width = part.size(index)
    lines = [
        "<annotation>",
        f"  <filename>{escape(name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
    ]
    for t in rows:
        x1, y1, x2, y2 = part.columns.boxes[t].astype(np.float64).tolist()
        area = (x2 - x1) * (y2 - y1)
        losses.add("areas: those of the boxes", int(abs(part.columns.areas[t] - area) > 1e-3 * area))
        corners = (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2))
        box = "".join(f"<{key}>{value:.17g}</{key}>" for key, value in corners)
        label = escape(part.classes[int(part.columns.labels[t])])
        difficult = int(part.columns.crowd[t])
        lines.append(f"  <object><name>{label}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>")
    return [*lines, "</annotation>"]


def _write_masks(part: FileSource, index: int, rows: list[int], file: Path, losses: Losses) -> None:
    """Pixels of value n belong to the n-th object; the smaller ones lie on the larger."""
    size, outlines = part.size(index), part.columns.outlines
    picture = np.zeros(size, np.uint8)
    losses.add(f"masks beyond the {MOST} that an image can number: left out", max(0, len(rows) - MOST))
    drawn = {n: outlines.mask(t, size) for n, t in enumerate(rows[:MOST], 1)} if outlines is not None else {}
    masks = {n: mask for n, mask in drawn.items() if mask is not None}
    cover = sum((mask.astype(np.int32) for mask in masks.values()), np.zeros(size, np.int32))
    losses.add("images whose masks overlap: the smaller lie on the larger", int((cover > 1).any()))
    losses.add("outlines: their pixels are kept, not their points", 0 if outlines is None else len(masks))
    for number in sorted(masks, key=lambda n: -int(masks[n].sum())):
        picture[masks[number]] = number
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)
