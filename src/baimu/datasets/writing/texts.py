"""Writing texts with labels (lists with tabs or commas, or a folder a class) and lines of text with their images."""

from __future__ import annotations

import csv
from pathlib import Path

from baimu.datasets.lines import Lines
from baimu.datasets.writing.places import Losses, Splits, copy_picture, distinct, picture_names, renamed, write_lines
from baimu.errors import DataError


def write_tsv(splits: Splits, out: Path) -> Losses:
    """``SPLIT.tsv`` of label, tab and text (``texts.tsv`` without splits)."""
    losses = Losses()
    for split, part in splits.items():
        rows = ["label\ttext"]
        for index in range(len(part)):
            text, label = part.text(index), _label(part, index)
            flat = " ".join(text.replace("\t", " ").splitlines())
            losses.add("texts with tabs or line breaks: blanks in their place", int(flat != text))
            rows.append(f"{label}\t{flat}")
        write_lines(out / _file(split, "tsv"), rows)
    return losses


def write_text_csv(splits: Splits, out: Path) -> Losses:
    """``SPLIT.csv`` with the columns label and text (``texts.csv`` without splits)."""
    for split, part in splits.items():
        out.mkdir(parents=True, exist_ok=True)
        with open(out / _file(split, "csv"), "w", encoding="utf-8", newline="") as file:
            rows = [[_label(part, index), part.text(index)] for index in range(len(part))]
            csv.writer(file).writerows([["label", "text"], *rows])
    return Losses()


def write_text_folders(splits: Splits, out: Path) -> Losses:
    """``SPLIT/CLASS/000001.txt``."""
    losses = Losses()
    for split, part in splits.items():
        for index in range(len(part)):
            label, text = _label(part, index), part.text(index)
            if "/" in label or label.startswith("."):
                raise DataError(
                    f"{out}: the class {label!r} cannot be the name of a folder; rename it, or convert to csv"
                )
            losses.add(
                "texts with several blanks or lines: one blank in their place", int(" ".join(text.split()) != text)
            )
            write_lines(out / ("" if split == "all" else split) / label / f"{index:06d}.txt", [text])
    losses.add(
        "data sets whose texts are in the order of their classes", int(any(_unsorted(p) for p in splits.values()))
    )
    return losses


def write_line_list(splits: Splits, out: Path) -> Losses:
    """``SPLIT.txt`` (``lines.txt`` without splits) of path, tab and text, with the images below ``images``."""
    losses = Losses()
    names = {split: picture_names(part) for split, part in splits.items()}
    unique = distinct(names)
    losses.add("image files: renamed", renamed(names, unique))
    for split, part in splits.items():
        assert isinstance(part, Lines)
        folder = Path("images") if split == "all" else Path("images") / split
        rows = []
        for index, name in enumerate(unique[split]):
            copy_picture(part, index, out / folder / name)
            rows.append(f"{(folder / name).as_posix()}\t{part.text(index)}")
        write_lines(out / ("lines.txt" if split == "all" else f"{split}.txt"), rows)
    return losses


def _file(split: str, suffix: str) -> str:
    return f"texts.{suffix}" if split == "all" else f"{split}.{suffix}"


def _label(part: object, index: int) -> str:
    return part.classes[int(part.labels(index)[0])]  # pyright: ignore[reportAttributeAccessIssue]


def _unsorted(part: object) -> bool:
    marks = part.marks.tolist()  # pyright: ignore[reportAttributeAccessIssue]
    return marks != sorted(marks)
