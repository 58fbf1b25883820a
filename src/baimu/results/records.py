"""The results of one call as files for other programs, written as they come: memory does not grow with their number."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from typing import Any, TextIO


class Records:
    """A context manager that writes what it is given to a JSON list and a CSV table; what was given stays, whatever
    ends it.

    The list has one entry an image, as of :meth:`~baimu.results.result.Result.to_dict`. The table has the rows of
    :meth:`~baimu.results.result.Result.to_rows` below their columns; with ``errors`` another column, ``error``, which
    is empty but for an image that could not be read, of whom a row says source and error.
    """

    def __init__(self, json: TextIO | None = None, csv: TextIO | None = None, *, errors: bool = False) -> None:
        self._json, self._csv, self._errors = json, csv, errors
        self._count = 0
        self._columns: Sequence[str] | None = None
        self._waiting: list[dict[str, Any]] = []  # errors that came before the columns were known

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        if self._json is not None:
            self._json.write("\n]\n" if self._count else "[]\n")
        if self._csv is not None and self._columns is None:
            self._begin_table(("source",) if self._errors and self._waiting else ())

    def add(self, record: dict[str, Any], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """One image: ``to_dict()``, ``columns`` and ``to_rows()`` of its result."""
        self._count += 1
        if self._json is not None:
            text = json.dumps(record, indent=1, ensure_ascii=False).replace("\n", "\n ")
            self._json.write(f"{'[' if self._count == 1 else ','}\n {text}")
        if self._csv is None:
            return
        unread = "error" in record
        if self._columns is None and unread:
            self._waiting.append(record)
            return
        if self._columns is None:
            self._begin_table(columns)
        if unread:
            self._tell_unread(record)
        else:
            self._table.writerows([*row, ""] if self._errors else row for row in rows)

    def _begin_table(self, columns: Sequence[str]) -> None:
        assert self._csv is not None
        self._columns = columns
        self._table = csv.writer(self._csv, lineterminator="\n")
        self._table.writerow([*columns, "error"] if self._errors else columns)
        for record in self._waiting:
            self._tell_unread(record)
        self._waiting.clear()

    def _tell_unread(self, record: dict[str, Any]) -> None:
        assert self._columns is not None
        self._table.writerow([record["source"], *[""] * (len(self._columns) - 1), record["error"]])
