"""A piece of work in a forked child that may take so much time and memory and no more."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

SECONDS = 20.0
"""Of processor time, after which a child is ended."""
PATIENCE = 6
"""So many times as long by the wall clock, for the machine has other work: then it hangs."""
MEMORY = 4 << 30
"""Bytes that a child may hold more than it began with."""


class Outcome(NamedTuple):
    """What became of it: ``died`` names the signal or status of a child that did not return, "" of one that did."""

    value: Any
    died: str
    seconds: float  # of its processor time
    megabytes: float  # that it held at most more than at its beginning


def guarded(work: Callable[[], Any], *, seconds: float = SECONDS, memory: int = MEMORY) -> Outcome:
    """``work()`` in a child, whose result must be picklable."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(work, writing, seconds, memory)
    os.close(writing)
    data, died, end = b"", "", time.monotonic() + PATIENCE * seconds
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            died = f"no answer within {PATIENCE * seconds:g} s"
            break
        part = os.read(reading, 1 << 16)
        if not part:
            break
        data += part
    os.close(reading)
    _, status, used = os.wait4(child, 0)
    if died or status:
        return Outcome(None, died or _told(status), used.ru_utime + used.ru_stime, 0.0)
    return Outcome(*pickle.loads(data))


def _child(work: Callable[[], Any], writing: int, seconds: float, memory: int) -> None:
    """Never returns."""
    status = 1
    try:
        whole = _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (whole + memory, whole + memory))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        before, began = _status("VmRSS"), time.process_time()
        value = work()
        spent, held = time.process_time() - began, _status("VmHWM") - before
        with os.fdopen(writing, "wb") as file:
            pickle.dump((value, "", spent, held / 1e6), file)
        status = 0
    finally:
        os._exit(status)


def _status(name: str) -> int:
    """Bytes, as the kernel tells them of this process."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def _told(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.WEXITSTATUS(status)}"
