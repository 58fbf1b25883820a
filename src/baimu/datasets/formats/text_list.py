"""Texts with labels: lists, or a folder for each class.

In a list a row is a text: ``.tsv`` and ``.txt`` have ``label<TAB>text``, where a quote is a letter like any other;
``.csv`` has quotes around what holds commas or line breaks. Without a header the column that says the same again and
again is the label and the longest the text; with one they are known by their names (``label``, ``text``, …), or said
behind the path: ``mail.csv:text=body,label=kind``. fastText's ``__label__spam Free entry …`` is read, too.

A folder is read by its lists ``train`` with ``val`` or ``test``, by its only list, or as class folders:
``CLASS/*.txt``, a text a file, or ``train/CLASS/*.txt`` with ``val/…`` or ``test/…``.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.images import SUFFIXES
from baimu.datasets.texts import LabelledTexts, labelled_texts
from baimu.errors import DataError, unknown

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
LISTS = (".tsv", ".csv", ".txt")
LABEL = ("label", "class", "category", "target", "y", "sentiment", "v1", "intent", "topic", "kind")
TEXT = ("text", "sentence", "message", "review", "content", "body", "v2", "comment", "tweet", "utterance", "sms")
OPTIONS = ("text", "label")
FASTTEXT = "__label__"
_LOOKED_AT = 50  # rows of a list, entries of a folder

Found = dict[str, Callable[[], LabelledTexts]]


class Row(NamedTuple):
    """A line of a list, parted into cells."""

    line: int
    cells: list[str]


def find_texts(path: Path) -> Found:
    """The splits of a list or a folder, to be read when called; empty when it is neither."""
    path, options = split_options(path)
    if set(options) - set(OPTIONS):
        return {}
    if path.is_file():
        return {"all": partial(read_text_list, path, **options)} if _is_list(path) or "text" in options else {}
    lists = [file for file in sorted(path.iterdir()) if _is_list(file)]
    by_name = {word: file for file in lists for word in re.split(r"[^a-z]+", file.stem.lower())}
    splits = {split: by_name[n] for split, names in SPLITS.items() for n in names if n in by_name}
    if "train" in splits and len(splits) > 1:
        return {split: partial(read_text_list, file, **options) for split, file in splits.items()}
    if len(lists) == 1:
        return {"all": partial(read_text_list, lists[0], **options)}
    if lists:
        raise DataError(f"{path}: holds several lists ({', '.join(f.name for f in lists)}); name the one to read")
    folders = {entry.name.lower(): entry for entry in sorted(path.iterdir()) if entry.is_dir()}
    parts = {s: folders[n] for s, names in SPLITS.items() for n in names if n in folders and _classes(folders[n])}
    if "train" in parts:
        return {split: partial(read_text_folders, folder) for split, folder in parts.items()}
    return {"all": partial(read_text_folders, path)} if _classes(path) else {}


def read_text_list(file: str | Path, *, text: str | None = None, label: str | None = None) -> LabelledTexts:
    """All rows of one list, the columns as named, else as recognised. Rows without text or label are left out and stand
    in ``problems``. Raises :class:`~baimu.errors.DataError` for unknown columns and when nothing is left."""
    file, log = Path(file), ProblemLog()
    rows = _rows(file)
    text_at, label_at, header = _columns(file, rows, text, label)
    names, texts, labels = [], [], []
    for row in rows[header:]:
        if len(row.cells) <= max(text_at, label_at):
            log.add(str(file), f"line {row.line}", f"has {len(row.cells)} columns", "line left out", code="X103")
            continue
        own, said = row.cells[label_at].strip(), row.cells[text_at].strip()
        if not own or not said:
            what, code = ("text", "X101") if own else ("label", "X102")
            log.add(str(file), f"line {row.line}", f"has no {what}", "line left out", code=code)
            continue
        names.append(f"{file}:{row.line}")
        texts.append(said)
        labels.append(own)
    return labelled_texts(str(file), names, texts, labels, log)


def read_text_folders(root: str | Path) -> LabelledTexts:
    """The ``.txt`` files in the class folders of ``root``; empty ones are left out and stand in ``problems``."""
    root, log = Path(root), ProblemLog()
    names, texts, labels = [], [], []
    for folder in _classes(root):
        for file in sorted(folder.rglob("*.txt")):
            said = " ".join(_read(file).split())
            if not said:
                log.add(str(file), "", "is empty", "file left out", code="X101")
                continue
            names.append(str(file))
            texts.append(said)
            labels.append(folder.name)
    return labelled_texts(str(root), names, texts, labels, log)


def _classes(path: Path) -> list[Path]:
    """The folders in ``path`` that hold texts and no images, by their first entries: there may be a million."""
    found = []
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            suffixes = {entry.suffix.lower() for entry in itertools.islice(folder.iterdir(), _LOOKED_AT)}
            if ".txt" in suffixes and not suffixes & SUFFIXES:
                found.append(folder)
    return found


def _rows(file: Path, most: int | None = None) -> list[Row]:
    """The lines of a list that are not empty, or the first ``most``."""
    text = _read(file)
    lines = text.splitlines()
    if lines and lines[0].startswith(FASTTEXT):
        rows = [
            Row(i, line.removeprefix(FASTTEXT).split(maxsplit=1)) for i, line in enumerate(lines, 1) if line.strip()
        ]
    elif file.suffix.lower() == ".csv" and (not lines or lines[0].count("\t") == 0):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;", key=lines[0].count) if lines else ",")
        try:
            rows = [Row(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
        except csv.Error as error:
            raise DataError(f"{file}, line {reader.line_num}: {error}; correct the quotes there", "F101") from None
    else:
        tabs = lines[0].count("\t") if lines else 0  # of more, the others belong to the text
        rows = [Row(i, line.split("\t", tabs)) for i, line in enumerate(lines, 1) if line.strip()]
    return rows[:most]


def _columns(file: Path, rows: Sequence[Row], text: str | None, label: str | None) -> tuple[int, int, int]:
    """Where the text is, where the label, and how many rows are the header."""
    if not rows:
        raise DataError(f"{file}: is empty; write a label, a tab and a text a line", "F103")
    first = [cell.strip() for cell in rows[0].cells]
    plain = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in first]
    given = {"text": text, "label": label}
    places: list[int | None] = []
    for key, names in (("text", TEXT), ("label", LABEL)):
        name = given[key]
        if name is not None and name not in first:
            raise unknown(f"column of {file}", name, first)
        known = next((plain.index(n) for n in names if n in plain), None)
        places.append(known if name is None else first.index(name))
    header = int(any(place is not None for place in places))
    cells = [row.cells for row in rows[header:] if len(row.cells) == len(first)]
    others = [i for i in range(len(first)) if i not in places]
    if len(others) < places.count(None) or not cells:
        raise DataError(
            f"{file}: needs a column of labels and one of texts; write a label, a tab and a text a line", "F102"
        )
    if places[0] is None:
        places[0] = max(others, key=lambda i: sum(len(row[i]) for row in cells))
    if places[1] is None:
        places[1] = min((i for i in others if i != places[0]), key=lambda i: len({row[i] for row in cells}))
    return places[0], places[1], header


def _is_list(path: Path) -> bool:
    """Whether rows have a label and a text of several words, and no image."""
    if path.suffix.lower() not in LISTS or not path.is_file():
        return False
    try:
        rows = _rows(path, _LOOKED_AT)
    except DataError:
        return False
    if len(rows) < 2 or any(Path(cell.strip()).suffix.lower() in SUFFIXES for row in rows for cell in row.cells):
        return False
    full = [row for row in rows if len(row.cells) > 1]
    wordy = [row for row in full if max(len(cell.split()) for cell in row.cells) > 1]
    return len(full) >= 0.8 * len(rows) and len(wordy) >= 0.5 * len(full)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); save it as UTF-8 text", "F101") from None
