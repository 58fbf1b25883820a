"""Reading a csv file, and which of its columns are images, labels and splits."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baimu.datasets.images import SUFFIXES
from baimu.errors import DataError, unknown

# Names of columns, as they are compared: lower case, letters and digits alone; the surest first.
IMAGE = (
    "image",
    "images",
    "imagepath",
    "imgpath",
    "imagefile",
    "filepath",
    "path",
    "filename",
    "imagename",
    "file",
    "img",
)
IMAGE += ("imageid", "imgid", "imageindex", "name", "id")
ONE = ("label", "class", "category", "target", "classname", "labelname", "y")
SEVERAL = ("labels", "classes", "categories", "targets", "tags", "findinglabels", "attributes")
SPLIT = ("split", "set", "subset", "partition", "fold")

YES, NO, UNKNOWN = {"1", "1.0"}, {"0", "0.0"}, {"", "-1", "-1.0", "?", "nan"}
"""What a column of one class may hold, in lower case."""

OPTIONS = ("image", "label", "root", "separator")


@dataclass(frozen=True)
class Columns:
    """Where a list has what, by the numbers of its columns."""

    image: int
    labels: tuple[int, ...]  # one of names, or one for each class
    split: int | None
    separator: str  # parts several names in a cell; empty: each cell is one name


@dataclass(frozen=True)
class Table:
    """A list as read: its rows with the line that each ends on, and the folder that paths are below."""

    file: Path
    root: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]
    columns: Columns


def split_options(path: Path) -> tuple[Path, dict[str, str]]:
    """``list.csv:image=a,label=b`` as path and options."""
    match = re.fullmatch(r"(.+?):(\w+=.*)", str(path))
    if match is None:
        return path, {}
    return Path(match[1]), dict(re.findall(r"(\w+)=(.*?)(?=,\w+=|$)", match[2]))


def check_options(options: dict[str, str]) -> None:
    """Raise :class:`~baimu.errors.UnknownNameError` for an option that no list has."""
    for key in options:
        if key not in OPTIONS:
            raise unknown("option of a list", key, OPTIONS)


def read_table(file: Path, options: dict[str, str]) -> Table:
    """The rows of a list and its columns: those that ``options`` name, else those that are recognised.

    Raises :class:`~baimu.errors.DataError` for a file that is no text in UTF-8 or empty, and for unknown columns.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); save it as UTF-8 text", "F101") from None
    delimiter = max(",\t;", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}; correct the quotes there", "F101") from None
    if not rows:
        raise DataError(f"{file}: is empty; write one row an image", "F103")
    header = [cell.strip() for cell in rows[0][1]]
    if any(map(_is_image, header)):  # this is a row already: there is no header
        header = [str(number) for number in range(1, len(header) + 1)]
        options = {"label": "2", **options}
    else:
        rows = rows[1:]
    width = len(header)
    rows = [(line, (row + [""] * width)[:width]) for line, row in rows]
    columns = _columns(file, header, [row for _, row in rows], options)
    return Table(file, Path(options.get("root", file.parent)).expanduser(), header, rows, columns)


def _columns(file: Path, header: list[str], rows: list[list[str]], options: dict[str, str]) -> Columns:
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]

    def named(text: str) -> int:
        if text not in header:
            raise unknown(f"column of {file}", text, header)
        return header.index(text)

    def recognised(names: Sequence[str]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    def cells(column: int) -> list[str]:
        return [row[column].strip() for row in rows]

    split = recognised(SPLIT)
    by_cells = (i for i in range(len(header)) if rows and all(map(_is_image, cells(i))))
    image = named(options["image"]) if "image" in options else next(by_cells, recognised(IMAGE))
    if "label" in options:
        labels = tuple(named(name) for name in options["label"].split("+"))
    else:
        one = recognised((*ONE, *SEVERAL))
        flags = tuple(i for i in range(len(header)) if i not in (image, split) and _says_yes_and_no(cells(i)))
        labels = flags if one is None else (one,)
    if image is None or not labels or image in labels:
        missing = "image paths" if image is None else "labels"
        raise DataError(
            f"{file}: no column of {missing} is recognised among {', '.join(header)}; "
            f"say which they are: {file.name}:image=COLUMN,label=COLUMN",
            "F102",
        )
    separator = options.get("separator", "")
    if len(labels) == 1 and not separator:
        separator = _separator(plain[labels[0]] in SEVERAL, cells(labels[0]))
    return Columns(image, labels, split, separator)


def _is_image(cell: str) -> bool:
    return os.path.splitext(cell)[1].lower() in SUFFIXES


def _says_yes_and_no(cells: Sequence[str]) -> bool:
    found = {cell.lower() for cell in cells} - UNKNOWN
    return bool(found) and found <= YES | NO


def _separator(several: bool, cells: Sequence[str]) -> str:
    """What parts names in these cells: all but ``|`` only where the column's name speaks of several."""
    return next((sign for sign in ("|;, " if several else "|") if any(sign in cell for cell in cells)), "")
