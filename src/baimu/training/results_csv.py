"""results.csv: a row for every window of steps and one with scores for every evaluated epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from baimu.errors import TrainingError

Row = dict[str, float]


class ResultsFile:
    """Appends rows to a csv file whose columns are those of the first row plus ``score_names``, seconds last.

    ``path`` is None in all processes but the first: they count rows and write nothing.
    """

    def __init__(self, path: Path | None, score_names: Sequence[str]) -> None:
        self.path = path
        self.rows = 0
        self._score_names = tuple(score_names)
        self._columns: list[str] = []

    def append(self, row: Row) -> None:
        """Write one row. A full disk raises :class:`~baimu.errors.TrainingError`."""
        if not self._columns:
            own = [key for key in row if key not in self._score_names and key != "seconds"]
            self._columns = [*own, *self._score_names, "seconds"]
        self.rows += 1
        if self.path is None:
            return
        try:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, self._columns)
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written ({error.strerror or error}); the last checkpoint is intact. "
                "Free space there, then continue with resume=True"
            ) from error

    def sync(self) -> int:
        """Bring all rows to the disk and return their number."""
        if self.path is not None and self.path.exists():
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
        return self.rows

    def keep(self, rows: int) -> None:
        """Forget what was written after the first ``rows`` rows, half a line at the end included."""
        self.rows = rows
        if self.path is None or not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)[: rows + 1]
        if rows and lines:
            self._columns = next(csv.reader(lines[:1]))
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text("".join(lines if rows else []), encoding="utf-8", newline="")
        os.replace(part, self.path)


def read_results(path: Path) -> list[Row]:
    """The rows of a results.csv; empty cells (rows without scores) are left out, epochs and steps are ints."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [_numbers(row) for row in csv.DictReader(file)]


def _numbers(row: Mapping[str, str | None]) -> Row:
    filled = {key: text for key, text in row.items() if text}
    return {key: int(text) if key in ("epoch", "step") else float(text) for key, text in filled.items()}
