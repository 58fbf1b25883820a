"""``baimu data view``: a sheet of pictures with what is annotated in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from baimu.datasets.annotations import FileSource
from baimu.datasets.open import Source, recognise
from baimu.datasets.source import (
    ClassificationSource,
    DetectionSource,
    ReadingSource,
    SegmentationSource,
    SequenceSource,
    TextSource,
)
from baimu.draw.boxes import as_picture, draw_objects
from baimu.draw.colours import class_colour
from baimu.draw.sheet import resized, sheet
from baimu.errors import DataError, ImageError, unknown
from baimu.targets import UNDECIDED


def view_data(
    source: Source,
    *,
    split: str | None = None,
    kind: str | None = None,
    count: int = 24,
    classes: Sequence[str] | None = None,
    seed: int | None = None,
    cell: int = 320,
) -> Image.Image:
    """A contact sheet: ``count`` images of a split, evenly spaced (or drawn by ``seed``), with boxes, masks, labels,
    label maps or texts; with ``classes``, images that have one of them. ``cell`` is the longer side of a picture.

    Without ``split`` the first one found. Raises :class:`~baimu.errors.DataError` where there are no images to see.
    """
    known = recognise(source, kind, {"masks": True} if kind in (None, "detection") else {})
    if split is not None and split not in known.found:
        raise unknown(f"split of {source}", split, known.found)
    part = known.found[split or next(iter(known.found))]()
    if isinstance(part, TextSource) and not hasattr(part, "image"):
        raise DataError(f"{source}: holds texts, of which there are no pictures")
    chosen = np.arange(len(part))
    if classes:
        for name in classes:
            if name not in part.classes:
                raise unknown(f"class of {source}", name, part.classes)
        wanted = {part.classes.index(name) for name in classes}
        chosen = np.array([i for i in range(len(part)) if wanted & _labels(part, i)], np.int64)
    if not len(chosen):
        raise DataError(f"{source}: has no image of {', '.join(classes or ())}")
    if seed is not None:
        chosen = np.random.Generator(np.random.PCG64(seed)).permutation(chosen)[:count]
    else:
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int))]
    pairs = [_picture(part, int(index), cell) for index in chosen]
    return sheet([picture for picture, _ in pairs], titles=[title for _, title in pairs])


def _labels(part: Any, index: int) -> set[int]:
    if isinstance(part, FileSource):  # without drawing masks
        first, count = part.spans[index].tolist()
        return set(part.columns.labels[first : first + count].tolist())
    if isinstance(part, DetectionSource):
        return set(part.objects(index).labels.tolist())
    if isinstance(part, SegmentationSource):
        return set(np.unique(part.label_map(index)).tolist())
    return set(part.labels(index).tolist()) if isinstance(part, ClassificationSource) else set()


def _picture(part: Any, index: int, cell: int) -> tuple[Image.Image, str]:
    """An image with what is known of it, and its title; grey where it cannot be read."""
    title = Path(part.name(index)).name
    try:
        image = part.image(index)
    except ImageError:
        return Image.new("RGB", (cell, round(0.75 * cell)), (203, 208, 216)), f"{title} cannot be read"
    picture = as_picture(image)
    if isinstance(part, SegmentationSource):
        picture = _painted(image, part.label_map(index))
    elif isinstance(part, SequenceSource):
        box = part.box(index, 0)
        title = f"{title}, {part.frames(index)} frames"
        if np.isfinite(box).all():
            picture = draw_objects(image, box[None], np.zeros(1, np.int64), ("object",), show_names=False)
    elif isinstance(part, ReadingSource):
        title = part.text(index)
    elif isinstance(part, ClassificationSource):
        title = ", ".join(part.classes[label] for label in part.labels(index).tolist()) or title
    elif isinstance(part, DetectionSource):
        things = part.objects(index)
        scale = max(1, cell // max(picture.size))
        picture = draw_objects(image, things.boxes, things.labels, part.classes, None, things.masks, scale=scale)
    return resized(picture, cell), title


def _painted(image: np.ndarray, labels: np.ndarray) -> Image.Image:
    """The classes as colours over the image; what is undecided stays as it is."""
    colours = np.array([class_colour(label) for label in range(UNDECIDED + 1)], np.float32)
    share = np.where(labels == UNDECIDED, 0, 0.55)[..., None]
    return Image.fromarray((image * (1 - share) + colours[labels] * share).astype(np.uint8))
