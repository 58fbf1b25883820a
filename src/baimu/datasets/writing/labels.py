"""Writing images with labels: class folders, or a list."""

from __future__ import annotations

import csv
from pathlib import Path

from baimu.datasets.labels import LabelSource
from baimu.datasets.writing.places import Losses, Splits, copy_picture, distinct, picture_names, renamed, write_lines
from baimu.errors import DataError

SEPARATOR = "|"


def write_folders(splits: Splits, out: Path) -> Losses:
    """``SPLIT/CLASS/*``, or ``CLASS/*`` without splits."""
    losses = Losses()
    if any(part.multi_label for part in splits.values()):
        raise DataError(f"{out}: class folders cannot hold several labels an image; convert to csv")
    for split, part in splits.items():
        names = _names(part)
        of_class: dict[str, list[int]] = {name: [] for name in part.classes}
        for index in range(len(part)):
            of_class[part.classes[int(part.labels(index)[0])]].append(index)
        for label, indices in of_class.items():
            if "/" in label or label.startswith("."):
                raise DataError(
                    f"{out}: the class {label!r} cannot be the name of a folder; rename it, or convert to csv"
                )
            losses.add(f"class without images ({label}): class folders cannot hold it", int(not indices))
            own = {split: [names[i].rpartition("/")[2] for i in indices]}
            unique = distinct(own)[split]
            losses.add("image files: renamed", renamed(own, {split: unique}))
            for index, name in zip(indices, unique, strict=True):
                copy_picture(part, index, out / ("" if split == "all" else split) / label / name)
    return losses


def write_csv(splits: Splits, out: Path) -> Losses:
    """``SPLIT.csv`` (``list.csv`` without splits) with the images below ``images``, and classes.txt."""
    losses = Losses()
    first = next(iter(splits.values()))
    for split, part in splits.items():
        folder = Path("images") if split == "all" else Path("images") / split
        header, rows = _rows(part, folder, losses)
        for index, name in enumerate(_names(part)):
            copy_picture(part, index, out / folder / name)
        out.mkdir(parents=True, exist_ok=True)
        with open(out / ("list.csv" if split == "all" else f"{split}.csv"), "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    if not first.multi_label:
        write_lines(out / "classes.txt", first.classes)
    return losses


def _names(part: LabelSource) -> list[str]:
    if hasattr(part.pictures, "files"):
        return distinct({"": picture_names(part)})[""]
    return [f"{index:06d}.png" for index in range(len(part))]


def _rows(part: LabelSource, folder: Path, losses: Losses) -> tuple[list[str], list[list[str]]]:
    paths = [(folder / name).as_posix() for name in _names(part)]
    if not part.multi_label:
        return ["image", "label"], [[path, part.classes[int(part.labels(i)[0])]] for i, path in enumerate(paths)]
    rows = []
    for index, path in enumerate(paths):
        cells = ["0"] * len(part.classes)
        for label in part.labels(index):
            cells[int(label)] = "1"
        for label in part.unknown(index):
            cells[int(label)] = ""
        rows.append([path, *cells])
    return ["image", *part.classes], rows
