"""The bench's side of its processes: start one a cell, tell it what to do, hear how it ended."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import Pipe, reduction
from pathlib import Path
from typing import Any

from baimu.deploy.bench_worker import FORKS
from baimu.errors import BaimuError

PARENT = "from baimu.deploy.bench_worker import main; main()"  # not -m, under which its classes would be __main__'s
PATIENCE = 1800.0
"""Seconds after which a process that does not answer is ended."""


class CellFailed(BaimuError):
    """What a cell was to do cannot be done here; the message is the reason."""


class Processes:
    """Where workers come from. All of them end with the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        if os.name == "nt":
            raise BaimuError("the bench hands sockets to its processes, which Windows cannot; run it under WSL")
        self.folder, self._count = folder, 0
        self._parents: list[tuple[subprocess.Popen[bytes], Any]] = []
        self._workers: list[Worker] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in self._workers:
            worker.close()
        for process, control in self._parents:
            control.close()
            process.terminate()
            process.wait()

    def start(self) -> Worker:
        """A process that has the libraries loaded and no model yet."""
        if not self._parents or not FORKS:
            self._parents.append(self._parent())
        process, control = self._parents[-1]
        self._count += 1
        log = self.folder / f"{self._count}.log"
        ours, theirs = Pipe()
        try:
            control.send(("start", str(log)))
            reduction.send_handle(control, theirs.fileno(), process.pid)
            theirs.close()
            worker = Worker(ours, control, control.recv(), log)
        except (EOFError, OSError):
            said = (self.folder / "parent.log").read_text(errors="replace").strip().splitlines()
            raise BaimuError(
                f"the process that measures cannot start: {said[-1] if said else 'it says nothing'}"
            ) from None
        self._workers.append(worker)
        return worker

    def _parent(self) -> tuple[subprocess.Popen[bytes], Any]:
        ours, theirs = Pipe()
        with open(self.folder / "parent.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", PARENT, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        theirs.close()
        return process, ours


def _environment() -> Mapping[str, str]:
    """Ours, so that what was imported here is imported there from the same place."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


class Worker:
    """One process. ``worker.turn(seconds=1.0)`` is that of its :class:`~baimu.deploy.bench_worker.Desk`."""

    def __init__(self, orders: Any, control: Any, pid: int, log: Path) -> None:
        self._orders, self._control, self.pid, self._log = orders, control, pid, log

    def tell(self, order: str, **given: Any) -> Any:
        """Do it and say what came of it. Raises :class:`CellFailed` with the reason, also when the process is no more
        or does not answer."""
        try:
            self._orders.send((order, given))
            if not self._orders.poll(PATIENCE):
                os.kill(self.pid, signal.SIGKILL)
                raise CellFailed(f"no answer in {PATIENCE / 60:.0f} minutes")
            done, answer = self._orders.recv()
        except (EOFError, ConnectionError):
            raise CellFailed(self._how_it_ended()) from None
        if not done:
            raise CellFailed(answer)
        return answer

    def _how_it_ended(self) -> str:
        said = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        last = f": {said[-1]}" if said else ""
        if not FORKS:
            return f"its process ended{last}"
        self._control.send(("status", self.pid))
        code = self._control.recv()
        if code == -signal.SIGKILL:
            return "its process was killed, as a machine does that is out of memory"
        return f"its process ended by {signal.Signals(-code).name if code < 0 else f'exit code {code}'}{last}"

    def close(self) -> None:
        """It ends when nobody can tell it anything any more."""
        self._orders.close()


def free_memory() -> float:
    """Bytes that new processes can have, as far as the system tells; infinite where it does not."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    free = float(found[1]) * 2**10 if found else math.inf
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    return min(free, float(limit) - float(used)) if limit.isdigit() and used.isdigit() else free


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
