"""``python -m tests.sabotage``: plant every fault of the table, one at a time, and tell which test catches it.

Exit code 1 when a fault survives, 2 when the tests fail without any.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.sabotage.fault import Fault, copy_library
from tests.sabotage.running import Outcome, preload, run_tests
from tests.sabotage.table import FAULTS

LIMIT = 600.0
"""Seconds that the tests of a fault may take, on a machine that others use too."""


def main(arguments: list[str] | None = None) -> int:
    """Plant, print, write the file where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description="Plant faults and see who tells.")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="faults of this name or pattern; may be repeated"
    )
    parser.add_argument(
        "--out", type=Path, help="also write what came out as JSON; with --only, these faults are replaced in it"
    )
    options = parser.parse_args(arguments)
    faults = [f for f in FAULTS if not options.only or any(fnmatchcase(f.name, name) for name in options.only)]
    if not faults:
        parser.error(f"no fault is called {', '.join(options.only)}; there is {', '.join(f.name for f in FAULTS)}")

    preload()
    clean = run_on_copy(sorted({test for fault in faults for test in fault.tests}))
    if clean.said != "all tests pass":
        print(f"without any fault: {clean.said}", file=sys.stderr)
        return 2
    print(f"without any fault {clean.passed} tests pass ({clean.cpu_seconds:.0f} s)", flush=True)
    outcomes = [attempt(fault, f"{i}/{len(faults)}") for i, fault in enumerate(faults, 1)]
    caught = sum(outcome.caught is not None for outcome in outcomes)
    total = clean.cpu_seconds + sum(outcome.cpu_seconds for outcome in outcomes)
    print(f"{caught} of {len(faults)} faults are caught ({total / 60:.1f} minutes of CPU)")
    if options.out:
        before = json.loads(options.out.read_text(encoding="utf-8")) if options.only and options.out.exists() else {}
        text = json.dumps(account(faults, outcomes, before), indent=1, ensure_ascii=False)
        options.out.write_text(text + "\n", encoding="utf-8")
    return int(caught < len(faults))


def attempt(fault: Fault, place: str) -> Outcome:
    """Plant one fault and tell of it."""
    outcome = run_on_copy(fault.tests, fault)
    verdict = f"caught by {outcome.caught}" if outcome.caught else "SURVIVES"
    print(f"{place} {fault.name}: {verdict} ({outcome.said[:160]}; {outcome.cpu_seconds:.0f} s)", flush=True)
    return outcome


def run_on_copy(tests: Sequence[str], fault: Fault | None = None) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        return run_tests(tests, copy_library(Path(folder).resolve(), fault), limit=LIMIT if fault else 10 * LIMIT)


def account(faults: Sequence[Fault], outcomes: Sequence[Outcome], before: dict[str, Any]) -> dict[str, Any]:
    """What docs/reliability.md shows, ready for JSON, fault by fault in the order of the table; of those that were not
    planted now, what is known from ``before``."""
    rows = {
        fault.name: {
            "harm": fault.harm,
            "file": f"src/baimu/{fault.file}",
            "caught_by": outcome.caught,
            "tests_passed_before": outcome.passed,
            "cpu_seconds": round(outcome.cpu_seconds, 1),
        }
        for fault, outcome in zip(faults, outcomes, strict=True)
    }
    rows = {**before, **rows}
    return {fault.name: rows[fault.name] for fault in FAULTS if fault.name in rows}


if __name__ == "__main__":
    sys.exit(main())
