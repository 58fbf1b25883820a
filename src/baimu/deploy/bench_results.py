"""What a bench measured: rows, their table, JSON and picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Row:
    """A cell and what was measured of it, nothing where ``why`` tells the reason."""

    runtime: str
    precision: str
    batch_size: int
    threads: int  # as asked for
    ms: float | None = None  # median of one batch, inputs prepared: normalisation, network, results
    ms_p90: float | None = None
    images_per_second: float | None = None  # of the same
    end_to_end: float | None = None  # images a second from files to results: reading and resizing as well
    cpu_ms: float | None = None  # of an image, all threads together, without reading
    load_seconds: float | None = None
    peak_mib: float | None = None  # of the process
    start_mib: float | None = None  # of it before it had a model: Python, torch
    device_mib: float | None = None  # on the GPU
    file_mib: float | None = None  # of the exported file; in torch, of parameters and buffers
    speedup: float | None = None  # over eager fp32 of the same batch size and threads
    score: float | None = None
    score_change: float | None = None  # against eager fp32
    calls: int = 0  # that were timed
    torch_threads: int | None = None  # as the process says
    os_threads: int | None = None  # that the process consists of
    heat: int = 0  # rows of one took turns
    note: str = ""  # how like the model the exported file is, or what was chosen
    why: str = ""  # not measured

    @property
    def name(self) -> str:
        return f"{self.runtime} {self.precision}"


@dataclass(frozen=True)
class Bench:
    """What :func:`baimu.bench` measured. ``str()`` of it is the table that ``baimu bench`` prints."""

    model: str
    task: str
    weights: str  # "trained", or "random" where the name of an untrained model was given
    device: str
    input: tuple[int, ...]  # shape of the first cell's batch
    images: str  # what it was measured on
    seconds: float  # that each cell was timed
    turns: int
    metric: str | None  # name of the score
    data: str | None  # on which it was taken
    rows: tuple[Row, ...]
    environment: dict[str, Any]  # of :func:`baimu.env`
    load_average: tuple[float, float]  # of the machine, when the bench began and ended

    @property
    def measured(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.why)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not a number there is None."""
        return {"format": FORMAT, **_plain(asdict(self))}

    def plot(self, path: str | Path) -> Path:
        """A picture of speed against the score, or where there is none against memory; its format follows the suffix.
        A line joins the rows that no other is better than in both."""
        from baimu.draw.charts import save
        from baimu.draw.speed import Point, speed_chart

        scored = [row for row in self.measured if row.score is not None and math.isfinite(row.score)]
        rows = scored or list(self.measured)
        batches, threads = (len({getattr(row, key) for row in rows}) > 1 for key in ("batch_size", "threads"))
        points = []
        for row in rows:
            own = [f"batch {row.batch_size}"] * batches + [f"{row.threads} thread{'s' * (row.threads > 1)}"] * threads
            value = row.score if scored else row.peak_mib
            points.append(Point(row.images_per_second or 0.0, value or 0.0, row.runtime, row.precision, ", ".join(own)))
        y = f"{self.metric} on {self.data}" if scored else "peak memory of the process, MiB (less is better)"
        title = f"{self.model}{' (random weights)' if self.weights == 'random' else ''} on {self._where}"
        return save(speed_chart(points, title, y, more_is_better=bool(scored)), path)

    @property
    def _where(self) -> str:
        cores = f"{self.environment['processor']}, {self.environment['cores']} cores"
        return cores if self.device == "cpu" else f"{self.device}, {', '.join(self.environment['devices'])}"

    def __str__(self) -> str:
        columns = (
            [one for one in COLUMNS if any(one[1](row) for row in self.measured)] if self.measured else COLUMNS[:4]
        )
        table = [tuple(name for name, _ in columns)]
        table += [tuple(text(row) for _, text in columns) for row in self.measured]
        lines = [self._head, *aligned(table, left=2)]
        lines += [
            f"not measured: {row.name}, batch {row.batch_size}, threads {row.threads}: {row.why}"
            for row in self._failed
        ]
        lines += [f"{name}: {note}" for name, note in {row.name: row.note for row in self.rows if row.note}.items()]
        return "\n".join(lines)

    @property
    def _failed(self) -> tuple[Row, ...]:
        """Rows that were not measured, one for those that differ in batch size and threads alone."""
        return tuple({(row.name, row.why): row for row in reversed(self.rows) if row.why}.values())[::-1]

    @property
    def _head(self) -> str:
        random = ", random weights" if self.weights == "random" else ""
        shape = "x".join(map(str, self.input[1:]))
        score = "" if self.metric is None else f"; {self.metric} on {self.data}"
        first, last = self.load_average
        heats = max((row.heat for row in self.rows), default=0)
        parts = f", in {heats} groups that each took turns" if heats > 1 else ""
        is_busy = first > self.environment["cores"] + 0.5
        busy = ": others compute here too, trust CPU ms/image more than ms" if is_busy else ""
        return (
            f"{self.model} ({self.task}{random}), {self.images} as {shape}{score}\n{self._where}; {self.turns} turns, "
            f"{self.seconds:g} s a row{parts}; load average {first:.1f} to {last:.1f}{busy}"
        )


def _number(key: str, form: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = getattr(row, key)
        return "" if value is None else format(value, form)

    return text


COLUMNS: list[tuple[str, Callable[[Row], str]]] = [
    ("runtime", lambda row: row.runtime),
    ("precision", lambda row: row.precision),
    ("batch", lambda row: str(row.batch_size)),
    ("threads", lambda row: str(row.threads)),
    ("ms", _number("ms", ".2f")),
    ("p90", _number("ms_p90", ".2f")),
    ("x eager", _number("speedup", ".2f")),
    ("images/s", _number("images_per_second", ".1f")),
    ("from file", _number("end_to_end", ".1f")),
    ("CPU ms/image", _number("cpu_ms", ".2f")),
    ("load s", _number("load_seconds", ".2f")),
    ("peak MiB", _number("peak_mib", ".0f")),
    ("GPU MiB", _number("device_mib", ".0f")),
    ("size MiB", _number("file_mib", ".1f")),
    ("score", _number("score", ".4f")),
    ("change", _number("score_change", "+.4f")),
]
"""Of the table, each with the text of its cells; one that is empty in all rows is left out."""


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Lines of a table; the first ``left`` columns begin where their name does, the others end there."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]


def compared(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with what eager fp32 says of each: how much faster it is, and how the score changed."""
    base = {(row.batch_size, row.threads): row for row in rows if row.name == "eager fp32" and not row.why}
    score = next((row.score for row in base.values() if row.score is not None), None)

    def one(row: Row) -> Row:
        eager = base.get((row.batch_size, row.threads))
        faster = eager.ms / row.ms if eager is not None and eager.ms and row.ms else None
        change = row.score - score if row.score is not None and score is not None else None
        return replace(row, speedup=faster, score_change=change)

    return tuple(map(one, rows))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
