"""``baimu.bench``: how fast a model is here in every runtime, what memory it needs, and what of its score is left."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from baimu.deploy.bench_cells import Cell, plan, why_not
from baimu.deploy.bench_processes import CellFailed, Processes, Worker, free_memory
from baimu.deploy.bench_results import Bench, Row, compared
from baimu.deploy.bench_subject import Subject, subject_of
from baimu.deploy.bench_worker import Loaded, Turn
from baimu.environment import env
from baimu.errors import BaimuError
from baimu.runtimes.session import RUNTIMES

TURNS = 5
"""In which the seconds of a cell are spent: every turn each cell runs once, and each turn begins with the next of them,
so that a machine that others use too slows all alike, and none always follows the same one and its caches."""
ROOM = 2**30
"""Bytes of memory that are left free, at least; cells that do not fit beside the others take turns after them."""

Report = Callable[[str], None]


@dataclass
class Running:
    """A cell with its process, and what it did so far."""

    cell: Cell
    worker: Worker
    loaded: Loaded
    turns: list[Turn] = field(default_factory=list)


def bench(
    model: nn.Module | str | Path,
    *,
    runtimes: Sequence[str] | None = None,
    precisions: Sequence[str] = ("fp32",),
    batch_sizes: Sequence[int] = (1,),
    threads: Sequence[int] | None = None,
    size: int | tuple[int, int] | None = None,
    images: Any = None,
    data: Any = None,
    split: str | None = None,
    seconds: float = 10.0,
    device: str | None = None,
    out: str | Path | None = None,
    report: Report | None = None,
) -> Bench:
    """Measure ``model`` on this machine in every combination of runtime, precision, batch size and threads.

    ``model`` is whatever :func:`baimu.load` takes, an exported file, which is measured as it is, or the name of an
    untrained model, whose random weights say as much of its speed.

    ===================================  ==============================================================================
    runtime                              is
    ===================================  ==============================================================================
    ``eager``                            the model as it is
    ``folded``                           batch norm folded, maps channels-last, passes fused, as ``baimu predict`` does
    ``optimized``                        what ``model.optimize()`` chooses; takes minutes
    ``compiled``                         folded, then compiled by inductor; takes minutes
    formats of :func:`baimu.export`      the exported file in its runtime; ``aotinductor`` takes minutes
    ===================================  ==============================================================================

    By default all that are installed and do not take minutes. ``int8`` takes its ranges from ``images``: any source of
    :func:`baimu.predict`, on which all is measured; without, scenes are drawn. ``data`` and ``split``: what
    :func:`baimu.eval` scores each runtime and precision on. ``size`` fixes the input: one side, or
    height and width. ``threads``: by default torch's.

    Every cell is a process of its own, which begins with the libraries loaded and no model. All of them load and warm
    up first; then they take turns, ``seconds`` each in all: half on the model's part (inputs prepared, results made),
    half on everything from the file on. Where memory does not hold all of them, they do so group by group. A cell that
    cannot be, or fails, is a row with the reason. ``out``: a folder for ``bench.json``, ``bench.png`` and the exported
    files. ``report`` is told how far it is.

    Raises :class:`~baimu.errors.BaimuError` for a model, runtime, precision or image that there is not.
    """
    if seconds <= 0:
        raise BaimuError(f"seconds={seconds:g}: give the time that each row is measured, for example 10")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baimu-bench-")))
        folder = Path(out) if out is not None else scratch / "out"
        folder.mkdir(parents=True, exist_ok=True)
        subject = subject_of(model, size, images, scratch)
        cells = plan(subject.only or runtimes, precisions, batch_sizes, threads or (torch.get_num_threads(),))
        if subject.path is not None:
            cells = subject.own(cells, runtimes, precisions)
        processes = stack.enter_context(Processes(scratch))
        run = _Run(processes, subject, data, split, device, seconds, report or (lambda words: None))
        found = run.bench(cells, folder)
    if out is not None:
        (folder / "bench.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
        if found.measured:
            found.plot(folder / "bench.png")
    return found


def load_average() -> float:
    """Of the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


class _Run:
    """One bench on its way."""

    def __init__(
        self,
        processes: Processes,
        subject: Subject,
        data: Any,
        split: str | None,
        device: str | None,
        seconds: float,
        say: Report,
    ) -> None:
        self.processes, self.subject, self.say = processes, subject, say
        self.data, self.split, self.device, self.seconds = data, split, device, seconds
        self.scores: dict[tuple[str, str, str], float] = {}
        self.metric: str | None = None
        self.input: tuple[int, ...] = ()
        self.why: dict[Cell, str] = {}
        self.notes: dict[tuple[str, str], str] = {}

    def bench(self, cells: Sequence[Cell], folder: Path) -> Bench:
        """All of it; exported files go into ``folder``."""
        began = load_average()
        files = self.export(cells, folder)
        rows = self.measure(cells, files)
        return Bench(
            model=self.subject.name,
            task=self.subject.task,
            weights=self.subject.weights,
            device=self.device or "cpu",
            input=self.input,
            images=self.subject.what,
            seconds=self.seconds,
            turns=TURNS,
            metric=self.metric,
            data=None if self.data is None else str(self.data),
            rows=compared(rows),
            environment=env().to_dict(),
            load_average=(began, load_average()),
        )

    def export(self, cells: Sequence[Cell], folder: Path) -> dict[tuple[str, str], Path]:
        """The file of each runtime and precision that takes one; what cannot be exported is remembered as failed."""
        subject, files = self.subject, {}
        if subject.path is not None:
            return {(cells[0].runtime, cells[0].precision): subject.path}
        for cell in cells:
            key = (cell.runtime, cell.precision)
            if why := why_not(cell, images=subject.real):
                self.why[cell] = why
            elif cell.runtime in RUNTIMES and key not in files and key not in self.notes:
                path = folder / f"{'-'.join(key)}{RUNTIMES[cell.runtime].suffix}"
                worker = self.processes.start()
                given = {"source": subject.source, "path": path, "format": cell.runtime, "precision": cell.precision}
                try:
                    given |= {"images": subject.images if subject.real else None, "threads": cell.threads}
                    self.notes[key] = worker.tell("export", **given)
                    files[key] = path
                    self.say(f"{path.name}: {self.notes[key]}")
                except CellFailed as error:
                    self.notes[key] = ""
                    self.why |= {one: str(error) for one in cells if (one.runtime, one.precision) == key}
                    self.say(f"{path.name}: {error}")
                finally:
                    worker.close()
        return files

    def measure(self, cells: Sequence[Cell], files: dict[tuple[str, str], Path]) -> list[Row]:
        """Rows in the order of ``cells``."""
        rows: dict[Cell, Row] = {}
        waiting = [cell for cell in cells if cell not in self.why]
        heat = 0
        while waiting:
            heat += 1
            running: list[Running] = []
            while waiting and (not running or self._fits(running)):
                cell = waiting.pop(0)
                if (one := self._load(cell, files.get((cell.runtime, cell.precision)))) is not None:
                    running.append(one)
            self.say(f"{len(running)} rows take turns, {self.seconds * len(running):.0f} s")
            self._take_turns(running)
            for one in running:
                if one.cell not in self.why:
                    path = files.get((one.cell.runtime, one.cell.precision))
                    rows[one.cell] = self._row(one, path, heat)
                one.worker.close()
        return [rows.get(cell) or Row(*cell, why=self.why[cell]) for cell in cells]

    def _fits(self, running: Sequence[Running]) -> bool:
        """Whether there is memory for one more of the size of the largest, and room left."""
        largest = max(one.loaded.peak_mib for one in running) * 2**20
        return free_memory() > largest + ROOM

    def _load(self, cell: Cell, path: Path | None) -> Running | None:
        subject = self.subject
        worker = self.processes.start()
        given = {"source": subject.source, "path": path, "images": subject.images, "real": subject.real}
        try:
            loaded = worker.tell("load", cell=cell, device=self.device, **given)
        except CellFailed as error:
            self.why[cell] = str(error)
            self.say(f"{cell}: {error}")
            worker.close()
            return None
        self.input = self.input or loaded.inputs
        self.say(f"{cell}: ready")
        return Running(cell, worker, loaded)

    def _take_turns(self, running: Sequence[Running]) -> None:
        order = list(running)
        for _ in range(TURNS):
            order.append(order.pop(0)) if order else None
            for one in order:
                if one.cell in self.why:
                    continue
                try:
                    one.turns.append(one.worker.tell("turn", seconds=self.seconds / TURNS))
                except CellFailed as error:
                    self.why[one.cell] = str(error)
                    self.say(f"{one.cell}: {error}")

    def _row(self, one: Running, path: Path | None, heat: int) -> Row:
        cell, loaded, turns = one.cell, one.loaded, one.turns
        calls = [seconds for turn in turns for seconds in turn.seconds]
        images = sum(turn.images for turn in turns)
        note = loaded.note or self.notes.get((cell.runtime, cell.precision), "")
        score = None
        if self.data is not None:
            try:
                score = self._score(one)
            except CellFailed as error:
                note = f"not scored: {error}"
                self.say(f"{cell}: {note}")
        return Row(
            *cell,
            ms=1e3 * statistics.median(calls),
            ms_p90=1e3 * float(np.quantile(calls, 0.9)),
            images_per_second=images / sum(calls),
            end_to_end=sum(turn.end_to_end_images for turn in turns) / sum(turn.end_to_end for turn in turns),
            cpu_ms=1e3 * sum(turn.cpu for turn in turns) / images,
            load_seconds=loaded.load_seconds,
            peak_mib=max(turn.peak_mib for turn in turns),
            start_mib=loaded.start_mib,
            device_mib=max(turn.device_mib for turn in turns) or None,
            file_mib=loaded.weights_mib or file_mib(path),
            score=score,
            calls=len(calls),
            torch_threads=loaded.threads,
            os_threads=turns[-1].os_threads or None,
            heat=heat,
            note=note,
        )

    def _score(self, one: Running) -> float:
        """Once for all cells that compute the same."""
        key = (one.cell.runtime, one.cell.precision, one.loaded.note)
        if key not in self.scores:
            self.metric, self.scores[key] = one.worker.tell("score", data=self.data, split=self.split)
            self.say(f"{one.cell.runtime} {one.cell.precision}: {self.metric} {self.scores[key]:.4f}")
        return self.scores[key]


def file_mib(path: Path | None) -> float:
    """Of an exported file and what lies beside it by the same name: weights."""
    if path is None:
        return 0.0
    parts = {path, path.with_suffix(".bin"), path.with_name(f"{path.name}.data")}
    return sum(part.stat().st_size for part in parts if part.exists()) / 2**20
