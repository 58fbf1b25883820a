"""Class files of label maps: what the values or colours of their pixels are called.

One class a line, as these programs write them: ``name``; ``value name`` or ``value: name``; ``r g b name`` (CamVid's
``label_colors.txt``), also with commas; ``name:r,g,b:parts:actions`` (CVAT's ``labelmap.txt``); ``name,r,g,b`` below a
header (``class_dict.csv``). Lines that begin with ``#`` are comments.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from baimu.errors import DataError

NAMES = (
    "label_colors.txt", "labelmap.txt", "class_dict.csv", "classes.txt", "class_names.txt", "labels.txt", "names.txt",
)  # fmt: skip
"""Looked for in this order: those with colours first."""

_NUMBER, _NEXT = r"(\d{1,3})", r"[\s,;]+"
_FORMS = (
    re.compile(rf"(?P<r>\d+){_NEXT}(?P<g>\d+){_NEXT}(?P<b>\d+){_NEXT}(?P<name>\S.*)"),
    re.compile(r"(?P<name>[^:]+):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+):.*"),
    re.compile(r"(?P<name>[^,]+),\s*(?P<r>\d+),\s*(?P<g>\d+),\s*(?P<b>\d+)"),
    re.compile(r"(?P<value>\d+)(?:\s*[:,;\t]\s*|\s+)(?P<name>\S.*)"),
    re.compile(r"(?P<name>.+)"),
)


class NamedClass(NamedTuple):
    """A line of a class file."""

    name: str
    value: int | None = None  # of its pixels; None: its place in the file
    colour: int | None = None  # of its pixels, as 65536 r + 256 g + b


def find_class_file(*folders: Path) -> Path | None:
    """The first class file in one of the ``folders``."""
    return next((folder / name for folder in folders for name in NAMES if (folder / name).is_file()), None)


def read_classes(file: Path) -> list[NamedClass]:
    """The classes of a file in its order. Raises :class:`~baimu.errors.DataError`, which names the line."""
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as text ({error}); write one class a line", "F101") from None
    found: list[NamedClass] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#") or re.fullmatch(r"name\s*,\s*r\s*,\s*g\s*,\s*b", text, re.IGNORECASE):
            continue
        found.append(_parsed(file, number, text))
    if not found:
        raise DataError(f"{file}: names no class; write one a line", "F104")
    for field in NamedClass._fields:
        own = [getattr(row, field) for row in found if getattr(row, field) is not None]
        twice = next((value for i, value in enumerate(own) if value in own[:i]), None)
        if twice is not None:
            raise DataError(f"{file}: two classes have the {field} {twice!r}; give each its own", "C102")
    return found


def _parsed(file: Path, number: int, text: str) -> NamedClass:
    parts = next(match for form in _FORMS if (match := form.fullmatch(text))).groupdict()
    name = parts["name"].strip()
    if parts.get("value") is not None:
        return NamedClass(name, value=int(parts["value"]))
    if parts.get("r") is None:
        return NamedClass(name)
    red, green, blue = (int(parts[key]) for key in "rgb")
    if max(red, green, blue) > 255:
        raise DataError(f"{file}, line {number}: the colour {red} {green} {blue} of {name!r} is not in 0…255")
    return NamedClass(name, colour=red << 16 | green << 8 | blue)
