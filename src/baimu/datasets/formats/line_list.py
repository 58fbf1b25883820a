"""Lists of line images with their texts.

A row is ``PATH<TAB>TEXT``, as most sets have it; ICDAR's ``PATH, "TEXT"`` with ``\\"`` for a quote inside; or ``PATH
TEXT``. The path ends with the first suffix of an image, so it may hold blanks, and is below the list's folder. A folder
is read by its lists: ``train.txt`` with ``val.txt`` or ``test.txt`` (also ``gt_train.txt``, ``train_list.txt`` and the
like), folders ``train``, ``val`` and ``test`` that are read each in one of the following ways, its only list,
``.gt.txt`` files beside images of their name, or an LMDB (:mod:`baimu.datasets.formats.line_lmdb`).

``characters.txt`` beside a list, if there, holds all characters that may occur, and a line with another is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.formats.line_lmdb import is_lmdb, read_lmdb
from baimu.datasets.images import SUFFIXES, find_images
from baimu.datasets.labels import image_files
from baimu.datasets.lines import Lines, clean, make_lines
from baimu.errors import DataError

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
LISTS = (".txt", ".tsv", ".csv")
TEXT_OF = ".gt.txt"
UNREADABLE = "###"
"""By this text ICDAR's sets say that nobody can read a line."""

_SUFFIX = "|".join(sorted((re.escape(s) for s in SUFFIXES), key=len, reverse=True))
_ROW = re.compile(rf"(?P<path>.+?(?:{_SUFFIX}))(?P<between>\t|, ?|\s+)(?P<text>.*)", re.IGNORECASE)
_LOOKED_AT = 20  # rows that say whether a file is a list
_ENOUGH = 0.8  # share of them that must be rows

Found = dict[str, Callable[[], Lines]]


class Row(NamedTuple):
    """One row of a list, or one text file."""

    where: tuple[str, str]  # file and record, for messages
    path: str  # below the folder
    text: str


def find_lines(path: Path) -> Found:
    """The splits of a list or a folder, to be read when called; empty when it is neither."""
    if split_options(path)[1]:
        return {}
    if path.is_file():
        return {"all": partial(read_line_list, path)} if _is_list(path) else {}
    lists = [file for file in sorted(path.iterdir()) if _is_list(file)]
    by_split = _by_split(lists)
    if "train" in by_split and len(by_split) > 1:
        return {split: partial(read_line_list, file) for split, file in by_split.items()}
    folders = {entry.name.lower(): entry for entry in sorted(path.iterdir()) if entry.is_dir()}
    named = {s: folders[n] for s, names in SPLITS.items() for n in names if n in folders}
    parts = {split: read for split, folder in named.items() if (read := _reader(folder)) is not None}
    if "train" in parts:
        return parts
    if len(lists) > 1:
        raise DataError(f"{path}: holds several lists ({', '.join(f.name for f in lists)}); name the one to read")
    read = _reader(path)
    return {} if read is None else {"all": read}


def read_line_list(file: str | Path) -> Lines:
    """All rows of one list. Those that cannot be used are left out and stand in ``problems``: of no known form, without
    text, marked as unreadable, with a file that is absent or no image, or of characters not in ``characters.txt``."""
    file, log = Path(file), ProblemLog()
    rows = []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        match = _ROW.fullmatch(line.strip("\r\n"))
        if match is not None:
            rows.append(Row((str(file), f"line {number}"), match["path"].strip(), _unquoted(match)))
        elif line.strip():
            log.add(
                str(file), f"line {number}", f"{line.strip()[:60]!r} is no path and text", "line left out", code="X103"
            )
    return _lines(str(file), file.parent, rows, log)


def read_text_files(folder: str | Path) -> Lines:
    """Images below a folder, each with its text in ``NAME.gt.txt`` beside it; images without one are left out."""
    folder, log = Path(folder), ProblemLog()
    rows = []
    for image in find_images(folder):
        own = image.with_suffix(TEXT_OF)
        if own.is_file():
            rows.append(Row((str(own), ""), image.relative_to(folder).as_posix(), _text(own)))
        else:
            log.add(str(image), "", f"has no {own.name} beside it", "image left out", code="F108")
    return _lines(str(folder), folder, rows, log)


def _lines(root: str, folder: Path, rows: Sequence[Row], log: ProblemLog) -> Lines:
    allowed = _characters(folder)
    kept = []
    for row in rows:
        text = clean(row.text)
        strange = set(text) - allowed if allowed else set()
        if not text or text == UNREADABLE:
            what, code = (f"is marked as unreadable ({text})", "X108") if text else ("has no text", "X101")
            log.add(*row.where, what, "line left out", code=code)
        elif strange:
            problem = f"{text!r} has {', '.join(sorted(map(repr, strange)))}, which characters.txt lacks"
            log.add(*row.where, problem, "line left out", code="X109")
        else:
            kept.append(row._replace(text=text))
    pictures, readable = image_files(folder, [row.path for row in kept], log)
    found = [kept[i] for i in readable.tolist()]
    places = [", ".join(filter(None, (Path(row.where[0]).name, row.where[1]))) for row in found]
    return make_lines(root, pictures, [row.text for row in found], places, log, allowed)


def _characters(folder: Path) -> set[str] | None:
    file = folder / "characters.txt"
    return set(_text(file)) - {"\n", "\r"} if file.is_file() else None


def _unquoted(match: re.Match[str]) -> str:
    text = match["text"]
    if match["between"].startswith(",") and len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _reader(folder: Path) -> Callable[[], Lines] | None:
    """Of one folder without splits."""
    if is_lmdb(folder):
        return partial(read_lmdb, folder)
    lists = [file for file in sorted(folder.iterdir()) if _is_list(file)]
    if len(lists) == 1:
        return partial(read_line_list, lists[0])
    if next(folder.glob(f"*{TEXT_OF}"), None) is not None:
        return partial(read_text_files, folder)
    return None


def _by_split(lists: Sequence[Path]) -> dict[str, Path]:
    """The lists whose name says of which split they are, if it does so of one each."""
    found: dict[str, Path] = {}
    for file in lists:
        words = set(re.split(r"[^a-z]+", file.stem.lower()))
        for split, names in SPLITS.items():
            if words & set(names):
                if split in found:
                    return {}
                found[split] = file
    return found


def _is_list(path: Path) -> bool:
    if path.suffix.lower() not in LISTS or path.name.endswith(TEXT_OF) or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            rows = [row for row, _ in zip(filter(str.strip, file), range(_LOOKED_AT), strict=False)]
    except (OSError, UnicodeDecodeError):
        return False
    return bool(rows) and sum(_ROW.fullmatch(row.strip("\r\n")) is not None for row in rows) >= _ENOUGH * len(rows)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); save it as UTF-8 text", "F101") from None
