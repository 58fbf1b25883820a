"""Two programs in one process, taking turns: what a machine that others use too can still measure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Times = dict[str, dict[str, float]]


def take_turns(runs: dict[str, Callable[[], Any]], turns: int, *, pause: float | None = None) -> Times:
    """Median wall and CPU milliseconds of each run; every turn times each once, after one untimed round.

    Each turn begins with the next of them, so that none always follows the same one and its caches and clock. With
    ``pause`` each waits so many seconds and runs untimed before, because the threads of some runtimes go on waiting
    for work, and take the cores from the next, for a while after theirs is done.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    order = list(runs.items())
    for turn in range(turns + 1):
        order.append(order.pop(0))
        for name, run in order:
            if pause is not None:
                time.sleep(pause)
                run()
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            "wall_ms": 1e3 * statistics.median(t[0] for t in values),
            "cpu_ms": 1e3 * statistics.median(t[1] for t in values),
        }
        for name, values in times.items()
    }


def ratios(times: Times, base: str) -> Times:
    """Each run's share of the time of ``base``."""
    return {name: {key: value[key] / times[base][key] for key in value} for name, value in times.items()}
