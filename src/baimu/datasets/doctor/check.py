"""``baimu data check``: open a data set with its own readers, take what they report, and look further."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baimu.datasets.doctor import boxes, classes, deep, files, images, maps, masks, splits, texts, tracks
from baimu.datasets.doctor.report import Finding, Report, merged, of_problem
from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.formats.voc import MASKS
from baimu.datasets.kinds import Found
from baimu.datasets.open import Source, alone, recognise
from baimu.datasets.split_summary import summarize_split
from baimu.errors import DataError

FORMATS = {
    "find_coco": "coco",
    "find_voc": "voc",
    "find_yolo": "yolo",
    "find_maps": "maps",
    "find_painted": "painted",
    "find_folders": "folders",
    "find_csv": "csv",
    "find_idx": "idx",
    "find_texts": "texts",
    "find_lines": "lines",
    "find_tracks": "mot",
    "find_sequences": "sequences",
}
"""What a format is called, by the function that finds it."""


@dataclass(frozen=True)
class Opened:
    """A data set as its readers see it: the splits that could be read, and findings for those that could not."""

    name: str
    root: Path
    kind: str
    format: str
    splits: dict[str, Any]
    failures: tuple[Finding, ...]
    extra: tuple[Finding, ...] = ()  # of masks that stand in files of their own


Check = Callable[[Opened], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    files.check,
    images.check,
    boxes.check,
    masks.check,
    maps.check,
    classes.check,
    splits.check,
    tracks.check,
    texts.check,
)


def check_data(source: Source, *, kind: str | None = None, deep: bool = False) -> Report:
    """Look for everything that is wrong with a data set, record by record.

    ``source`` and ``kind`` are those of :func:`baimu.data`. Of images the headers are read; with ``deep`` all pixels,
    for damage, doubles and what is in training and validation at once. Every finding has one of the codes of
    docs/data_rules.md. Data that cannot be opened are a finding too, with ``readable`` false; only what is no data set
    at all raises :class:`~baimu.errors.DataError`.
    """
    opened = open_all(source, kind)
    if isinstance(opened, Report):
        return opened
    found = [*opened.failures, *opened.extra]
    for name, part in opened.splits.items():
        found += _reported(name, part)
    for one in (*CHECKS, *((_deep(),) if deep else ())):
        found += one(opened)
    return Report(
        source=opened.name,
        kind=opened.kind,
        format=opened.format,
        deep=deep,
        splits={name: part for name in opened.splits if (part := _summary(opened.splits[name])) is not None},
        findings=merged(found),
        readable=not opened.failures,
    )


def open_all(source: Source, kind: str | None = None) -> Opened | Report:
    """The splits of a data set; a report of one finding where not even they can be found."""
    name = source if isinstance(source, str) else getattr(source, "root", None) or str(source)
    try:
        known = recognise(source, kind)
        if known.kind == "detection" and known.format in ("find_coco", "find_yolo"):
            known = recognise(source, kind, {"masks": True})
    except DataError as error:
        if not error.code:
            raise
        return Report(name, kind or "", "", False, {}, (_of_error(error, name),), False)
    parts, failures = _read(alone(known.found), name)
    root = split_options(Path(source).expanduser())[0] if isinstance(source, str | os.PathLike) else Path(name)
    extra = tuple(_voc_masks(root)) if known.format == "find_voc" and (root / MASKS).is_dir() else ()
    return Opened(name, root, known.kind, FORMATS.get(known.format, ""), parts, tuple(failures), extra)


def _read(found: Found, name: str) -> tuple[dict[str, Any], list[Finding]]:
    parts, failures = {}, []
    for split, read in found.items():
        try:
            parts[split] = read()
        except DataError as error:
            if not error.code:
                raise
            failures.append(_of_error(error, name, split))
    return parts, failures


def _of_error(error: DataError, name: str, split: str = "") -> Finding:
    """A finding of what made reading stop; the message begins with the file."""
    file, _, message = str(error).partition(": ")
    file, _, record = file.partition(", ")
    return Finding(error.code, file if message else name, record, message or str(error), "cannot be used", split)


def _reported(split: str, part: Any) -> Iterator[Finding]:
    problems = part.problems
    belongs = getattr(problems, "image", None)
    for i, problem in enumerate(problems):
        image = -1 if belongs is None else belongs(i)
        if problem.code:
            yield of_problem(problem, split, part.name(image) if image >= 0 else "")


def _voc_masks(root: Path) -> Iterator[Finding]:
    """What is wrong with masks, which VOC keeps in files of their own."""
    parts, _ = _read(alone(recognise(root, "detection", {"masks": True}).found), str(root))
    for name, part in parts.items():
        yield from (finding for finding in _reported(name, part) if finding.code.startswith("M"))


def _deep() -> Check:
    return deep.check


def _summary(part: Any) -> Any:
    """Of a split; none where its maps cannot be read, which is a finding already."""
    try:
        return summarize_split(part)
    except DataError:
        return None
