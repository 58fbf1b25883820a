"""``baimu data convert``: a data set in another format, and what that cannot hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.check import Opened, open_all
from baimu.datasets.doctor.report import Report
from baimu.datasets.label_maps import PaintedSource
from baimu.datasets.lines import Lines
from baimu.datasets.open import Source
from baimu.datasets.writing import coco, labels, maps, mot, texts, voc, yolo
from baimu.datasets.writing.drawn import drawn
from baimu.datasets.writing.places import Losses, Splits
from baimu.errors import DataError, unknown

Writer = Callable[[Splits, Path], Losses]

WRITERS: dict[str, dict[str, Writer]] = {
    "detection": {"coco": coco.write_coco, "voc": voc.write_voc, "yolo": yolo.write_yolo},
    "classification": {"folders": labels.write_folders, "csv": labels.write_csv},
    "semantic_segmentation": {"maps": maps.write_maps},
    "text_classification": {
        "tsv": texts.write_tsv,
        "csv": texts.write_text_csv,
        "folders": texts.write_text_folders,
    },
    "text_recognition": {"lines": texts.write_line_list},
    "sequences": {},
}
"""By the kind of data, what can be written of it."""
OF_FRAMES = ("coco", "voc", "yolo")
"""What the frames of sequences can be written as, besides ``mot``."""


@dataclass(frozen=True)
class Conversion:
    """What was written, and ``lost``: what the format cannot hold, one sentence each."""

    out: Path
    format: str
    images: dict[str, int]
    lost: tuple[str, ...]

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.images.items())
        return "\n".join([f"{self.out} ({self.format}, {counts})", *(f"  not held: {what}" for what in self.lost)])


def convert_data(source: Source, out: str | os.PathLike[str], *, to: str, kind: str | None = None) -> Conversion:
    """Write a data set as ``to``: ``coco``, ``voc`` or ``yolo`` (objects), ``maps`` (label maps, also of outlined
    objects), ``folders`` or ``csv`` (labels; texts too), ``tsv`` (texts), ``lines`` (lines of text), ``mot`` (tracks).

    Boxes, classes, outlines, labels and texts come back exactly where the format can hold them; what it cannot is told
    in ``lost``. Records that cannot be read are not written: :func:`baimu.check_data` names them. ``out`` must not
    exist, or be an empty folder. Raises :class:`~baimu.errors.DataError`.
    """
    opened = usable(source, kind)
    return write(opened, empty_folder(out, opened), to)


def usable(source: Source, kind: str | None = None) -> Opened:
    """The data set, with all its splits; raises :class:`~baimu.errors.DataError` where one cannot be read."""
    opened = open_all(source, kind)
    failures = opened.findings if isinstance(opened, Report) else opened.failures
    if isinstance(opened, Report) or failures:
        raise DataError(f"{failures[0].file}: {failures[0].message}", failures[0].code)
    return opened


def empty_folder(out: str | os.PathLike[str], opened: Opened) -> Path:
    """``out``, which must hold nothing and lie neither in the source nor around it."""
    out = Path(out).expanduser()
    inside, home = out.resolve(), opened.root.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: holds something already; name a new folder")
    if home.is_dir() and (inside.is_relative_to(home) or home.is_relative_to(inside)):
        raise DataError(f"{out}: lies in {home}, which is never written to, or around it; name a folder elsewhere")
    return out


def write(opened: Opened, out: Path, to: str) -> Conversion:
    """The splits of an opened data set in the format ``to``."""
    splits: dict[str, Any] = dict(opened.splits)
    losses = Losses()
    if opened.format == "mot":
        if to == "mot":
            written = mot.write_mot(opened.root, out)
            return Conversion(out, to, {name: len(part) for name, part in splits.items()}, written.lines())
        if to in OF_FRAMES:
            splits, losses = mot.frames(opened.root)
            written = WRITERS["detection"][to](splits, out)
            return _done(out, to, splits, losses, written)
    kind = opened.kind
    if kind == "detection" and to == "maps":
        kind, splits = "semantic_segmentation", {name: PaintedSource(part) for name, part in splits.items()}
        losses.add("splits: overlapping objects become one map, and their boxes are lost", len(splits))
    writers = WRITERS.get(kind, {})
    if to not in writers:
        known = [*writers, *(["maps"] if opened.kind == "detection" else []), *_of_tracks(opened)]
        raise unknown(f"format for {opened.kind} data", to, known)
    if "trainval" in splits:
        splits = {"train" if name == "trainval" else name: part for name, part in splits.items()}
        losses.add("list trainval: written as train")
    if kind == "detection":
        splits = {name: part if isinstance(part, FileSource) else drawn(part) for name, part in splits.items()}
    splits = alike(splits)
    return _done(out, to, splits, losses, writers[to](splits, out))


def _of_tracks(opened: Opened) -> list[str]:
    return ["mot", *OF_FRAMES] if opened.format == "mot" else []


def alike(splits: dict[str, Any]) -> dict[str, Any]:
    """Splits with one list of classes, that of the first with what others have besides behind it, matched by name."""
    first = next(iter(splits.values()))
    more = dict.fromkeys(name for part in splits.values() for name in part.classes if name not in first.classes)
    names = (*first.classes, *more)
    if all(part.classes == first.classes for part in splits.values()) or not hasattr(first, "like"):
        return splits
    if isinstance(first, FileSource):
        fresh = max(first.category_ids) + 1
        ids = [*first.category_ids, *range(fresh, fresh + len(more))]
        return {name: part.with_classes(names, ids) for name, part in splits.items()}
    if isinstance(first, Lines):  # their classes are the characters that occur
        return splits
    told = SimpleNamespace(classes=names, multi_label=getattr(first, "multi_label", False))
    return {name: part.like(told) for name, part in splits.items()}


def _done(out: Path, to: str, splits: dict[str, Any], *losses: Losses) -> Conversion:
    lost = tuple(line for one in losses for line in one.lines())
    return Conversion(out, to, {name: len(part) for name, part in splits.items()}, lost)
