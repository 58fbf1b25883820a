"""Ordinary tests in a process of their own, on a copy of the library, and what came of them.

Processes are forked from a server that has imported :data:`HEAVY` and nothing of baimu, so that a fault costs what its
tests cost.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sabotage.fault import ROOT
from tests.sabotage.witness import FILE

HEAVY = ["torch", "torch.optim", "torchvision", "scipy.optimize", "hypothesis", "jaxtyping", "beartype", "PIL.Image"]


class Outcome(NamedTuple):
    """``caught`` is the first test that failed, if it failed by an assertion; ``said`` tells how it ended otherwise."""

    caught: str | None
    passed: int
    said: str
    cpu_seconds: float


def preload(modules: Sequence[str] = HEAVY) -> None:
    """Have the server import what nearly every test needs; to be called before the first test runs."""
    os.environ["OMP_NUM_THREADS"] = "1"  # which is read while torch is imported
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))


def run_tests(tests: Iterable[str], library: Path, *, limit: float) -> Outcome:
    """Run ``tests``, without the slow ones, on the package in the folder ``library``, until the first failure and at
    most ``limit`` seconds. Raises ``RuntimeError`` where another library was imported."""
    process = multiprocessing.get_context("forkserver").Process(target=_run, args=(list(tests), library))
    process.start()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return Outcome(None, 0, f"ran longer than {limit:g} seconds", limit)
    seen = library / "witness.json"
    if not seen.exists():
        lines = (library / "log.txt").read_text(encoding="utf-8").strip().splitlines()
        return Outcome(None, 0, f"ended with {process.exitcode}: {lines[-1] if lines else 'nothing said'}", 0.0)
    account = json.loads(seen.read_text(encoding="utf-8"))
    if account["library"] != str(library / "baimu" / "__init__.py"):
        raise RuntimeError(f"the tests imported {account['library']}, not the copy in {library}")
    failure, passed, spent = account["failure"], account["passed"], account["cpu_seconds"]
    if failure is None:
        good = passed and process.exitcode == pytest.ExitCode.OK
        return Outcome(None, passed, "all tests pass" if good else f"pytest ended with {process.exitcode}", spent)
    caught = failure["test"] if failure["asserted"] and process.exitcode == pytest.ExitCode.TESTS_FAILED else None
    return Outcome(caught, passed, failure["said"], spent)


def _run(tests: list[str], library: Path) -> None:
    """What the process does: its folder, its path and its streams are its own."""
    os.chdir(ROOT)
    multiprocessing.set_start_method(None, force=True)  # the loaders of a test start as they always do
    os.environ |= {
        FILE: str(library / "witness.json"),
        "PYTHONPATH": str(library),
        "OMP_NUM_THREADS": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(library / "hypothesis"),  # no example of a fault for ordinary runs
    }
    sys.path.insert(0, str(library))
    with open(library / "log.txt", "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.sabotage.witness"]
    options += ["--hypothesis-seed=0", f"--basetemp={library / 'tmp'}", "--tb=no"]
    sys.exit(pytest.main([*options, *tests]))
