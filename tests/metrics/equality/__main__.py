"""``python -m tests.metrics.equality --cases 2000 --out FILE.json``: a table; exit code 1 where something differs."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

from baimu.cli.table import print_table
from tests.metrics.equality.case import Subject, Tally, tally
from tests.metrics.equality.subjects import SUBJECTS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.metrics.equality", description="Metrics equal their references."
    )
    parser.add_argument("--cases", type=int, default=2000, help="random cases of each metric")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    options = parser.parse_args(arguments)

    told: list[tuple[Subject, Tally]] = []
    for subject in SUBJECTS:
        print(subject.metric, file=sys.stderr, flush=True)
        told.append((subject, tally(subject, range(options.cases))))
    print_table(
        ("metric", "reference", "cases", "without difference", "largest", "beyond"), [_row(*pair) for pair in told]
    )
    for subject, found in told:
        for seed, figures in found.wrong.items():
            print(f"{subject.metric}, seed {seed}: {figures}", file=sys.stderr)
    if options.out:
        result = {subject.metric: _entry(subject, found) for subject, found in told}
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(any(found.wrong for _, found in told))


def _row(subject: Subject, found: Tally) -> tuple[str, ...]:
    counts = (f"{found.cases:,}", f"{found.exact:,}", f"{found.largest:.1g}", str(len(found.wrong)))
    return (subject.metric, subject.reference, *counts)


def _entry(subject: Subject, found: Tally) -> dict:
    packages = {name: version(name) for name in subject.packages}
    head = {"reference": subject.reference, "packages": packages, "tolerance": subject.tolerance}
    return {**head, **found.to_dict()}


if __name__ == "__main__":
    sys.exit(main())
