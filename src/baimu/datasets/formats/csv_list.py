"""Lists of images with labels: csv files with a column of image paths and one or more of labels.

A row is an image. Its labels are one name (``label``, ``class``, ``category``, …), several names in one cell
(``labels``, ``tags``: parted by ``|``, ``;``, ``,`` or blanks), or a column for every class with 1 (yes), 0 (no), and
nothing, ``-1`` or ``?`` (nobody knows). A column ``split`` parts the rows; so do files ``train.csv``, ``val.csv`` and
``test.csv``. Which columns these are is recognised by their names, or said behind the path:
``list.csv:image=photo,label=kind``, for columns of 0 and 1 ``label=cat+dog``, with ``root=`` for the folder of the
images and ``separator=`` for what parts names in a cell. Without a header the first image path says which column is
the image's, and the second column is its label.

Paths are below the list's folder or ``root``; one that is not there, or has no suffix, is looked for by its name among
all images below. Classes are the lines of ``classes.txt`` beside the list, else the columns of 0 and 1 in their order,
else the labels found, sorted (as numbers where all are).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.csv_columns import NO, UNKNOWN, YES, Table, check_options, read_table, split_options
from baimu.datasets.formats.idx import read_class_names
from baimu.datasets.images import find_images
from baimu.datasets.labels import LabelSource, image_files, labelled
from baimu.errors import DataError

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
SUFFIXES = (".csv", ".tsv")

Marks = list[tuple[str, bool]]
"""An image's labels by name; false: nobody knows whether it has this one."""


def find_csv(path: Path) -> dict[str, Callable[[], LabelSource]]:
    """The splits of a list or of a folder of lists, to be read when called; empty when ``path`` is neither.

    ``path`` may end with ``:image=…,label=…``. Raises :class:`~baimu.errors.DataError` for a list whose columns are
    unknown, if it was named itself; a folder's other tables are no lists.
    """
    path, options = split_options(path)
    if "from" in options:  # of pairs of images
        return {}
    check_options(options)
    if path.is_file():
        return _parts(read_table(path, options)) if path.suffix.lower() in SUFFIXES else {}
    files = [entry for entry in sorted(path.iterdir()) if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    tables = {file.stem.lower(): table for file in files if (table := _table(file, options)) is not None}
    splits = {split: tables[n] for split, names in SPLITS.items() for n in names if n in tables}
    if "train" in splits:
        return {split: partial(_source, table) for split, table in splits.items()}
    if len(tables) > 1:
        raise DataError(
            f"{path}: holds several lists ({', '.join(t.file.name for t in tables.values())}); name the one to read"
        )
    return _parts(next(iter(tables.values()))) if tables else {}


def read_csv(
    file: str | Path,
    *,
    image: str | None = None,
    label: str | Sequence[str] | None = None,
    root: str | Path | None = None,
    separator: str | None = None,
) -> LabelSource:
    """All rows of one list; the columns as named, else as recognised.

    Rows that cannot be used are left out and stand in ``problems``: without image or label, with a file that is absent
    or unreadable, a label that ``classes.txt`` lacks, or anything but 0, 1 and the signs of not knowing in a column of
    a class. Raises :class:`~baimu.errors.DataError` for unknown columns and when nothing is left.
    """
    given = {"image": image, "root": root, "separator": separator}
    options = {key: str(value) for key, value in given.items() if value is not None}
    if label is not None:
        options["label"] = label if isinstance(label, str) else "+".join(label)
    return _source(read_table(Path(file), options))


def _table(file: Path, options: dict[str, str]) -> Table | None:
    try:
        return read_table(file, options)
    except DataError:
        return None


def _parts(table: Table) -> dict[str, Callable[[], LabelSource]]:
    """By the column of splits where there is one and its words are known."""
    split_of = {word: split for split, names in SPLITS.items() for word in names}
    column = table.columns.split
    words = set() if column is None else {row[column].strip().lower() for _, row in table.rows}
    if not words or not words <= split_of.keys():
        return {"all": partial(_source, table)}
    found = {split: {word for word in words if split_of[word] == split} for split in SPLITS}
    return {split: partial(_source, table, only=own) for split, own in found.items() if own}


class _RowError(ValueError):
    """What is wrong with a row, and the rule that it breaks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Row(NamedTuple):
    file: str  # below the root
    marks: Marks
    line: int


def _source(table: Table, only: set[str] | None = None) -> LabelSource:
    """The rows of a list, or those whose split is among ``only``, as a data set."""
    log, columns = ProblemLog(), table.columns
    several = len(columns.labels) > 1 or bool(columns.separator)
    classes, rows = _known_classes(table, _rows(table, only, log), log)
    pictures, readable = image_files(table.root, [row.file for row in rows], log)
    marks = [rows[i].marks for i in readable.tolist()]
    numbers = {name: number for number, name in enumerate(classes)}
    return labelled(
        pictures,
        classes,
        counts=np.array([len(own) for own in marks], np.int64),
        marks=np.array([numbers[name] for own in marks for name, _ in own], np.int64),
        known=np.array([sure for own in marks for _, sure in own], bool),
        multi_label=several,
        root=str(table.file),
        log=log,
    )


def _rows(table: Table, only: set[str] | None, log: ProblemLog) -> list[_Row]:
    """The rows that name an image and its labels; the others are logged."""
    columns, find = table.columns, _Finder(table.root)
    rows: list[_Row] = []
    seen: dict[str, int] = {}
    for line, row in table.rows:
        if only is not None and columns.split is not None and row[columns.split].strip().lower() not in only:
            continue
        try:
            marks = _flags(table.header, columns.labels, row) if len(columns.labels) > 1 else _names(table, row)
            file = find(row[columns.image].strip())
            if file in seen:
                raise _RowError("F113", f"{file} stands in line {seen[file]} already")
        except _RowError as error:
            log.add(str(table.file), f"line {line}", str(error), "row left out", code=error.code)
            continue
        seen[file] = line
        rows.append(_Row(file, marks, line))
    return rows


def _flags(header: list[str], columns: Sequence[int], row: list[str]) -> Marks:
    marks = []
    for i in columns:
        cell = row[i].strip().lower()
        if cell in UNKNOWN or cell in YES:
            marks.append((header[i], cell in YES))
        elif cell not in NO:
            raise _RowError("A101", f"{header[i]} is {row[i]!r}, where 0, 1 or nothing should stand")
    return marks


def _names(table: Table, row: list[str]) -> Marks:
    cell, separator = row[table.columns.labels[0]].strip(), table.columns.separator
    if separator:
        return [(name, True) for name in dict.fromkeys(part.strip() for part in cell.split(separator)) if name]
    if not cell:
        raise _RowError("X102", "has no label")
    return [(cell, True)]


class _Finder:
    """Called with a path of a list, gives that of the file it means, below the folder of images, forward slashes.

    Raises :class:`_RowError` saying what is wrong.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[str]] | None = None

    def __call__(self, text: str) -> str:
        if not text:
            raise _RowError("A101", "names no image")
        text = text.replace("\\", "/")
        below = os.path.relpath(self.root / text, self.root)
        if "\0" in text or below.split(os.sep)[0] == "..":
            raise _RowError(
                "F106", f"{text!r} lies outside the folder of the images, {self.root}; say which it is with root="
            )
        if os.path.isfile(self.root / text):  # Path's own raises for a name that is too long
            return Path(below).as_posix()
        found = self._index().get(Path(text).name, [])
        if len(found) == 1:
            return found[0]
        raise _RowError("F107", f"{text!r} {f'is the name of {len(found)} files' if found else 'is not there'}")

    def _index(self) -> dict[str, list[str]]:
        """Images by their name, and by their name without suffix."""
        if self._by_name is None:
            self._by_name = {}
            for image in find_images(self.root):
                for name in {image.name, image.stem}:
                    self._by_name.setdefault(name, []).append(image.relative_to(self.root).as_posix())
        return self._by_name


def _known_classes(table: Table, rows: list[_Row], log: ProblemLog) -> tuple[tuple[str, ...], list[_Row]]:
    """The classes, and the rows whose labels are all among them, under their names."""
    listed = table.file.with_name("classes.txt")
    found = {name for row in rows for name, _ in row.marks}
    if len(table.columns.labels) > 1:
        return tuple(table.header[i] for i in table.columns.labels), rows
    if not listed.is_file():
        numbers = all(re.fullmatch(r"-?\d+", name) for name in found)
        return tuple(sorted(found, key=int if numbers else str)), rows
    classes = read_class_names(listed)
    if not found <= set(classes):  # perhaps the numbers of its lines, from 0
        of_number = {str(number): name for number, name in enumerate(classes)}
        rows = [row._replace(marks=[(of_number.get(name, name), known) for name, known in row.marks]) for row in rows]
    kept = []
    for row in rows:
        foreign = next((name for name, _ in row.marks if name not in classes), None)
        if foreign is None:
            kept.append(row)
            continue
        near = difflib.get_close_matches(foreign, classes, n=1)
        text = f"{foreign!r} is not in {listed.name}{f'; did you mean {near[0]}?' if near else ''}"
        log.add(str(table.file), f"line {row.line}", text, "row left out", code="A103")
    return classes, kept
