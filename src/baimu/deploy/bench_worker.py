"""The process of one cell of a bench: it does what it is told, one thing at a time, and sleeps in between.

Where a process can be forked, :func:`main` is the one that they all come from: the libraries are imported once, and
each cell begins with the same memory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from itertools import cycle, islice
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import baimu.deploy.export as exporting  # with what it imports, before any process is forked
from baimu.deploy.bench_cells import Cell
from baimu.errors import BaimuError
from baimu.inference.predictor import Predictor, load_model
from baimu.layers.fold import optimize as fold
from baimu.runtimes.exported import Exported, open_exported

FORKS = sys.platform == "linux"
"""Elsewhere each cell is a fresh process: forking one whose libraries have been loaded is not safe there."""
LOOKED_AT = 8
"""Images that the model's part is measured on, at most: as many batches as they fill, in turn."""
WARM_ROUNDS = 2
PAUSE = 0.02
"""Seconds before each turn, in which the threads of the cell before stop waiting for more work."""


class Loaded(NamedTuple):
    """A cell that is ready."""

    load_seconds: float  # from the file to a model that can be asked; the first answers are not in it
    start_mib: float  # memory of the process before it had a model
    peak_mib: float  # the most so far
    threads: int  # that torch computes with
    weights_mib: float
    inputs: tuple[int, ...]  # shape of one batch
    note: str


class Turn(NamedTuple):
    """What one turn measured."""

    seconds: list[float]  # of each call
    images: int  # in these calls
    cpu: float  # seconds, of all threads
    end_to_end: float  # seconds, from files to results
    end_to_end_images: int
    peak_mib: float
    device_mib: float
    os_threads: int


class Desk:
    """What a worker can be told to do."""

    def __init__(self) -> None:
        self.cell: Cell
        self.model: Any
        self.predictor: Predictor
        self.items: list[Any]
        self.batches: Any

    def export(self, source: str, path: Path, format: str, precision: str, images: Any, threads: int) -> str:
        """Write the file; in words, how like the model it is. One that differs is written all the same: what it
        costs is for the table to tell."""
        torch.set_num_threads(threads)
        said: list[str] = []
        given: dict[str, Any] = {"format": format, "precision": precision, "images": images}
        model = load_model(source)
        try:
            exporting.export(model, path, report=said.append, **given)
            return said[0].partition("; ")[2]
        except BaimuError as error:
            exporting.export(model, path, verify=False, **given)
            return str(error)

    def load(self, cell: Cell, source: str, path: Path | None, images: Any, real: bool, device: str | None) -> Loaded:
        """Everything until the first turn. ``path``: the exported file, for a runtime that takes one."""
        torch.set_num_threads(cell.threads)
        self.cell, start, began = cell, peak_mib(), time.perf_counter()
        precision: Any = cell.precision if cell.runtime == "eager" else "fp32"
        if path is not None:
            self.model = open_exported(path, threads=cell.threads, device=device)
        else:
            self.model = in_torch(load_model(source).to(device or "cpu"), cell, images if real else None)
        self.predictor = Predictor(self.model, fold=False, precision=precision)
        seconds = time.perf_counter() - began
        self.items = list(self.predictor.medium.open(images).items)
        batches = self._batches()
        self.batches = cycle(batches)
        for batch in batches * WARM_ROUNDS:
            self._ask(batch)
        return Loaded(
            load_seconds=seconds,
            start_mib=start,
            peak_mib=peak_mib(),
            threads=torch.get_num_threads(),
            weights_mib=weights_mib(self.model),
            inputs=tuple(batches[0].inputs.shape),
            note=getattr(getattr(self.model, "choice", None), "name", ""),
        )

    def _batches(self) -> list[Any]:
        """Full batches: of a picture each, repeated, where those of several sizes cannot share one."""
        medium, preprocess, size = self.predictor.medium, self.model.preprocess, self.cell.batch_size
        ready = [medium.prepare(item, preprocess) for item in self.items[:LOOKED_AT]]
        if not self.predictor.task.pads:
            return [medium.collate([one] * size, preprocess) for one in ready]
        count = max(1, len(ready) // size)
        turn = list(islice(cycle(ready), count * size))
        return [medium.collate(turn[i : i + size], preprocess) for i in range(0, len(turn), size)]

    def _ask(self, batch: Any) -> None:
        self.predictor.predict_batch(batch)
        if self.predictor.device.type == "cuda":
            torch.cuda.synchronize(self.predictor.device)

    def turn(self, seconds: float) -> Turn:
        """Half of ``seconds`` for the model's part, inputs prepared, and half for everything from the files on; of
        each at least one batch, after one that is not timed."""
        time.sleep(PAUSE)
        self._ask(next(self.batches))
        calls, images, cpu, began = [], 0, time.process_time(), time.perf_counter()
        while not calls or time.perf_counter() - began < seconds / 2:
            batch = next(self.batches)
            start = time.perf_counter()
            self._ask(batch)
            calls.append(time.perf_counter() - start)
            images += len(batch.inputs)
        cpu = time.process_time() - cpu
        answered, began = 0, time.perf_counter()
        for _ in self.predictor.stream(cycle(self.items), batch_size=self.cell.batch_size):
            answered += 1
            if answered % self.cell.batch_size == 0 and time.perf_counter() - began >= seconds / 2:
                break
        return Turn(
            seconds=calls,
            images=images,
            cpu=cpu,
            end_to_end=time.perf_counter() - began,
            end_to_end_images=answered,
            peak_mib=peak_mib(),
            device_mib=torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0,
            os_threads=len(list(Path("/proc/self/task").iterdir())) if FORKS else 0,
        )

    def score(self, data: Any, split: str | None) -> tuple[str, float]:
        """The first figure of the task's protocol, by name and value."""
        from baimu.training.evaluate import eval as evaluate  # later than what is measured: its charts take memory

        precision: Any = self.cell.precision if self.cell.runtime == "eager" else "fp32"
        found = evaluate(self.model, data, split=split, precision=precision, device=self.predictor.device)
        name, value = next(iter(found.figures().items()))
        return name, float(value)


def in_torch(model: Any, cell: Cell, images: Any) -> Any:
    """The model, or what torch makes of it."""
    precision: Any = cell.precision
    if cell.runtime == "folded":
        return fold(model, precision=precision)
    if cell.runtime == "compiled":
        return fold(model, precision=precision, compile=True)
    if cell.runtime == "optimized":
        return model.optimize(images, precision=precision, batch_size=cell.batch_size, report=None)
    return model


def weights_mib(model: nn.Module) -> float:
    if isinstance(model, Exported):
        return 0.0
    return sum(x.numel() * x.element_size() for x in model.state_dict().values()) / 2**20


def peak_mib() -> float:
    """The most memory that this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def serve(orders: Connection, log: str) -> None:
    """Follow the orders of one cell until nobody gives them any more."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    desk = Desk()
    while True:
        try:
            name, given = orders.recv()
        except EOFError:
            return
        try:
            orders.send((True, getattr(desk, name)(**given)))
        except Exception as error:  # whatever a runtime cannot do is a line of the table
            traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0]
            orders.send((False, first if isinstance(error, BaimuError) else f"{type(error).__name__}: {first}"))


def main() -> None:
    """Make a worker whenever the bench asks for one, and tell it how one ended. Its argument is the number of the
    socket by which it asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the bench hears it, and ends us
    control = Connection(int(sys.argv[1]))
    while True:
        try:
            name, given = control.recv()
        except EOFError:
            return
        if name == "status":
            control.send(os.waitstatus_to_exitcode(os.waitpid(given, 0)[1]))
            continue
        handle = reduction.recv_handle(control)
        pid = os.fork() if FORKS else 0
        if pid:
            os.close(handle)
            control.send(pid)
            continue
        if not FORKS:
            control.send(os.getpid())
        control.close()
        serve(Connection(handle), given)
        os._exit(0)
