"""What is in a data set, and what is wrong with it: ``baimu data DIR``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.images import size_problem
from baimu.datasets.identity_summary import IdentitySummary
from baimu.datasets.images import read_header
from baimu.datasets.open import Source, splits
from baimu.datasets.source import ImageSource, Problem
from baimu.datasets.split_summary import summarize_split
from baimu.errors import ImageError

SHOWN_PROBLEMS = 20
_LEGEND = "* least / 10 % / median / 90 % / most"


@dataclass(frozen=True)
class DataSummary:
    """What :func:`data` found: the splits by name, and every problem once. Printed, it is a table."""

    source: str
    classes: tuple[str, ...]
    splits: dict[str, Any]  # ObjectSummary or LabelSummary of baimu.datasets.split_summary
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON."""
        return {
            "source": self.source,
            "classes": list(self.classes),
            "splits": {name: part.to_dict() for name, part in self.splits.items()},
            "problems": [asdict(problem) for problem in self.problems],
        }

    def __str__(self) -> str:
        names, parts = list(self.splits), list(self.splits.values())
        rows = [["", *names]]
        for cells in zip(*(part.rows() for part in parts), strict=True):
            rows.append([cells[0][0], *(text for _, text in cells)])
        if self.classes:
            rows.append([parts[0].counted, *("" for _ in names)])
        rows += [[f"  {c}", *(f"{part.per_class.get(c, 0):,}" for part in parts)] for c in self.classes]
        return "\n".join([self.source, *_table(rows), _LEGEND, *self._problem_lines()])

    def _problem_lines(self) -> list[str]:
        if not self.problems:
            return ["no problems found"]
        kinds = Counter(problem.action for problem in self.problems)
        lines = [f"{len(self.problems):,} problems: " + ", ".join(f"{n:,} x {kind}" for kind, n in kinds.most_common())]
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        left = len(self.problems) - SHOWN_PROBLEMS
        return lines + ([f"  … and {left:,} more (to_dict() lists them all)"] if left > 0 else [])


def data(source: Source, *, kind: str | None = None) -> DataSummary:
    """Summarise a data set: every split that it has, its classes, objects or labels, sizes, and what is wrong with it.

    ``source`` is what :func:`~baimu.datasets.open.open_data` takes, and ``kind`` as which of its kinds it is read,
    where it could be several (``"semantic_segmentation"``: objects with outlines become label maps). Besides the
    annotations, the header of every image file is read, so that missing, damaged and wrongly sized files are found;
    pixels are not decoded, but for those of label maps. Raises :class:`~baimu.errors.DataError` when there is nothing
    that could be used.
    """
    found = splits(source, kind=kind)
    name = source if isinstance(source, str) else getattr(source, "root", None) or str(source)
    return summarize(name, found, [problem for part in found.values() for problem in _file_problems(part)])


def summarize(name: str, splits: Mapping[str, ImageSource], more: Iterable[Problem] = ()) -> DataSummary:
    """Summary of opened ``splits`` from their annotations alone, with their problems and ``more``."""
    problems = [problem for part in splits.values() for problem in part.problems]
    parts = {title: summarize_split(part) for title, part in splits.items()}
    # Of identities there may be a hundred thousand: their summary says which names are worth a line.
    named = [p.per_class if isinstance(p, IdentitySummary) else splits[title].classes for title, p in parts.items()]
    return DataSummary(
        source=name,
        classes=tuple(dict.fromkeys(name for names in named for name in names)),
        splits=parts,
        problems=tuple(dict.fromkeys([*problems, *more])),
    )


def _file_problems(source: ImageSource) -> Iterable[Problem]:
    """Files whose header cannot be read or contradicts the annotations; their use would stop with the same message."""
    if not isinstance(source, FileSource):
        return
    for index in range(len(source)):
        file = source.name(index)
        try:
            problem = size_problem(source, index, read_header(file))
        except ImageError as error:
            text = str(error).removeprefix(f"{file}: ")
            problem = Problem(file, f"image {source.image_id(index)}", text, "training stops at this image", error.code)
        if problem is not None:
            yield problem


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
