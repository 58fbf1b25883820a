"""``--fix``: a mended copy of a data set. The source is only read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.boxes import doubled
from baimu.datasets.doctor.check import Opened, check_data
from baimu.datasets.doctor.masks import empty
from baimu.datasets.doctor.report import Finding, Report
from baimu.datasets.doctor.texts import where
from baimu.datasets.flat import ranges
from baimu.datasets.open import Source
from baimu.datasets.texts import LabelledTexts
from baimu.datasets.writing.convert import Conversion, empty_folder, usable, write
from baimu.errors import DataError


@dataclass(frozen=True)
class Fixed:
    """What was written, what was found in the source, and what is left for a person."""

    written: Conversion
    before: Report
    left: tuple[Finding, ...]

    def __str__(self) -> str:
        mended = len(self.before.findings) - len(self.left)
        lines = [f"{self.written}", f"  mended: {mended:,}, left for you: {len(self.left):,}"]
        return "\n".join([*lines, *(f"    {finding.code} {finding}" for finding in self.left[:20])])


def fix_data(source: Source, out: str | os.PathLike[str], *, kind: str | None = None, deep: bool = False) -> Fixed:
    """Write a copy of a data set to ``out``, in its own format, without what a machine can mend.

    A record that is wrong is left out alone, boxes are clipped, ids and sizes written anew; docs/data_rules.md tells it
    for each rule. ``out`` must be a new or empty folder elsewhere. Raises :class:`~baimu.errors.DataError` where a
    split cannot be read at all.
    """
    opened = usable(source, kind)
    out = empty_folder(out, opened)
    before = check_data(source, kind=kind, deep=deep)
    clean = {name: _cleaned(name, part, before.findings) for name, part in opened.splits.items()}
    clean = {name: part for name, part in clean.items() if len(part)}
    if not clean:
        raise DataError(f"{opened.name}: no record is left to write; see what baimu data check tells", "F103")
    written = write(replace(opened, splits=clean), out, _own_format(opened))
    return Fixed(written, before, tuple(finding for finding in before.findings if not finding.rule.fix))


def _own_format(opened: Opened) -> str:
    """The format to write, as like that of the source as can be written."""
    if opened.format != "texts":
        return opened.format
    first = next(iter(opened.splits.values()))
    if where(first, 0)[1]:
        return "csv" if where(first, 0)[0].endswith(".csv") else "tsv"
    return "folders"


def _cleaned(split: str, part: Any, findings: tuple[Finding, ...]) -> Any:
    """A split without the images, objects and texts that rules leave out."""
    mine = [finding for finding in findings if finding.rule.fix and finding.split in ("", split)]
    if isinstance(part, LabelledTexts):
        bad = {(f.file, f.record) for f in mine if f.code in ("X104", "X106")}
        return part.select([i for i in range(len(part)) if where(part, i) not in bad])
    if hasattr(part, "frames") or not hasattr(part, "select"):
        return part
    if isinstance(part, FileSource):
        bad_rows = doubled(part)
        if part.columns.outlines is not None:
            bad_rows |= empty(part.columns.outlines)
        part = without_rows(part, bad_rows)
    places = {os.path.normpath(f.file) for f in mine if f.code[0] in "IS" or f.code == "F110"}
    places |= {os.path.normpath(f.image) for f in mine if f.code in ("M205", "M206") and f.image}
    # A file that is named by its annotations stands in `record`; its own problems bear its own name.
    kept = [i for i in range(len(part)) if os.path.normpath(part.name(i)) not in places]
    return part if len(kept) == len(part) else part.select(kept)


def without_rows(source: FileSource, bad: np.ndarray) -> FileSource:
    """The same images without the objects ``bad`` (T,), counted in ``columns``."""
    first, count = source.spans[:, 0], source.spans[:, 1]
    rows = ranges(first, count)
    images = np.repeat(np.arange(len(source)), count)
    kept = ~bad[rows]
    counts = np.bincount(images[kept], minlength=len(source))
    spans = np.stack([np.cumsum(counts) - counts, counts], 1).astype(np.int64)
    return replace(source, columns=source.columns.take(rows[kept]), spans=spans)
