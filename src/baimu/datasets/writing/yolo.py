"""Writing YOLO's text files: ``images/SPLIT`` with ``labels/SPLIT`` and data.yaml; without splits ``images`` with
``labels`` and classes.txt."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from baimu.datasets.annotations import FileSource
from baimu.datasets.images import read_header
from baimu.datasets.outlines import Outlines
from baimu.datasets.writing.places import (
    Losses,
    Splits,
    copy_picture,
    distinct,
    picture_names,
    renamed,
    write_lines,
)
from baimu.masks import mask_to_polygons


def write_yolo(splits: Splits, out: Path) -> Losses:
    """Every split as folders of its own; classes in their order."""
    losses = Losses()
    names = {split: picture_names(part) for split, part in splits.items()}
    unique = distinct(names)
    losses.add("image files: renamed", renamed(names, unique))
    part = next(iter(splits.values()))
    if list(part.category_ids) != list(range(len(part.classes))):
        losses.add("class ids: numbered anew from 0, in their order", len(part.classes))
    for split, part in splits.items():
        below = "" if split == "all" else split
        for index, name in enumerate(unique[split]):
            name = _picture(part, index, out / "images" / below, name, losses)
            write_lines(out / "labels" / below / f"{os.path.splitext(name)[0]}.txt", _lines(part, index, losses))
    if "all" in splits:
        write_lines(out / "classes.txt", part.classes)
    else:
        content = {**{split: f"images/{split}" for split in splits}, "names": list(part.classes)}
        write_lines(out / "data.yaml", [yaml.safe_dump(content, allow_unicode=True, sort_keys=False).rstrip()])
    return losses


def _picture(part: FileSource, index: int, folder: Path, name: str, losses: Losses) -> str:
    """Copy an image, or its pixels as they were annotated where only these have the annotated size."""
    if os.path.isfile(part.name(index)) and read_header(part.name(index)).shown != part.size(index):
        losses.add("images annotated without their EXIF rotation: written as PNG without it")
        name = f"{os.path.splitext(name)[0]}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(part.image(index)).save(folder / name)
    else:
        copy_picture(part, index, folder / name)
    return name


def _lines(part: FileSource, index: int, losses: Losses) -> list[str]:
    columns, (height, width) = part.columns, part.size(index)
    first, count = part.spans[index].tolist()
    lines: dict[str, None] = {}
    for t in range(first, first + count):
        if columns.crowd[t]:
            losses.add("crowd or difficult objects: left out, YOLO has none")
            continue
        box = columns.boxes[t].astype(np.float64)
        points = None if columns.outlines is None else _polygon(columns.outlines, t, part.size(index), losses)
        if points is None:
            numbers = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        else:
            numbers = tuple(points)
            around = np.concatenate([points.min(0), points.max(0)]).clip(0, [width, height] * 2)
            losses.add("boxes: those around their outlines", int(np.abs(around - box).max() > 0.5))
        line = " ".join([str(int(columns.labels[t])), *(repr(float(v)) for p in numbers for v in p / (width, height))])
        losses.add("objects that repeat another: written once", int(line in lines))
        areas = (box[2:] - box[:2]).prod()
        losses.add("areas: those of the boxes", int(abs(columns.areas[t] - areas) > 1e-3 * areas))
        lines[line] = None
    return list(lines)


def _polygon(outlines: Outlines, row: int, size: tuple[int, int], losses: Losses) -> np.ndarray | None:
    """(n, 2) points of the one polygon that YOLO has for an object.

    Several parts, or pixels, become one polygon whose parts are joined by a line there and back, so that filling it
    gives the same mask.
    """
    first, last = outlines.object_spans[row]
    parts = [outlines.words[start:stop] for start, stop in outlines.part_spans[first:last]]
    if not parts:
        return None
    if not outlines.are_runs[row] and len(parts) == 1:
        points = parts[0].view(np.float32).astype(np.float64).reshape(-1, 2)
        if (points >= 0).all() and (points <= size[::-1]).all():
            return points
    losses.add("outlines of pixels, of several parts or beyond the image: one polygon around the same pixels")
    mask = outlines.mask(row, size)
    assert mask is not None
    if not mask.any():
        return None
    return joined([polygon.astype(np.float64) for polygon in mask_to_polygons(mask)])


def joined(polygons: list[np.ndarray]) -> np.ndarray:
    """One polygon from several: from the first point to each of the others', around it, and back."""
    points = [polygons[0], polygons[0][:1]]
    for polygon in polygons[1:]:
        points += [polygon, polygon[:1], polygons[0][:1]]
    return np.concatenate(points if len(polygons) > 1 else polygons)
