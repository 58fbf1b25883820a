"""A pytest plugin that writes down, as JSON in the file that ``BAIMU_WITNESS`` names, what it saw of a run: where the
library came from, how many tests passed, the first that did not, with the way in which it failed, and the CPU time."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

FILE = "BAIMU_WITNESS"


def is_asserted(error: BaseException) -> bool:
    """Whether a test said that something is wrong, rather than fall over it: an assertion, or what was to be raised and
    was not. A group, as of several examples of one property, is what all of its members are."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_asserted, error.exceptions))
    return isinstance(error, AssertionError | pytest.fail.Exception)


class Witness:
    """Sees one run."""

    def __init__(self, file: Path) -> None:
        self.file, self.passed = file, 0
        self.failure: dict[str, Any] | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        if self.failure is None:
            error = call.excinfo.value
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            by_test = call.when == "call" and is_asserted(error)
            self.failure = {"test": node.nodeid, "asserted": by_test, "said": f"{type(error).__name__}: {said}"}

    def pytest_sessionfinish(self) -> None:
        found = importlib.util.find_spec("baimu")
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seen = {
            "library": found and found.origin,
            "passed": self.passed,
            "failure": self.failure,
            "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in used),
        }
        self.file.write_text(json.dumps(seen), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if FILE in os.environ:
        config.pluginmanager.register(Witness(Path(os.environ[FILE])))
