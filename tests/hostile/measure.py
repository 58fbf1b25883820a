"""What each case costs the reader, in a child of its own; ``python -m tests.hostile.measure --out FILE``.

The process that forks has loaded Pillow and numpy alone, so that memory is what the reader holds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from baimu.datasets.images import decode_image
from tests.hostile.case import Case
from tests.hostile.cases import all_cases
from tests.hostile.guard import guarded


def measure(case: Case, folder: Path, number: int) -> dict[str, Any]:
    made = guarded(partial(case.place, folder, number), seconds=60)
    assert not made.died, (case.name, made)
    path = made.value
    outcome = guarded(partial(case.judge, path, partial(decode_image, path)))
    size = path.stat().st_size if path.is_file() else 0
    if not path.is_dir():
        path.unlink()
    said = f"the process died: {outcome.died}" if outcome.died else outcome.value
    return {
        "case": case.name,
        "heavy": case.heavy,
        "bytes": size,
        "seconds": round(outcome.seconds, 3),
        "megabytes": round(outcome.megabytes, 1),
        "wrong": said,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--light", action="store_true", help="without the largest images that are let through")
    kinds.add_argument("--heavy", action="store_true", help="these alone")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [c for c in all_cases() if not (options.light and c.heavy) and (c.heavy or not options.heavy)]
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(case, Path(folder), number) for number, case in enumerate(cases)]
    usual = [row for row in rows if not row["heavy"]]
    report = {
        "cases": len(rows),
        "wrong": [row for row in rows if row["wrong"]],
        "most seconds": max((row["seconds"] for row in usual), default=0),
        "most megabytes": max((row["megabytes"] for row in usual), default=0),
        "costliest": sorted(usual, key=lambda row: -row["seconds"])[:5]
        + sorted(usual, key=lambda r: -r["megabytes"])[:5],
        "largest": [row for row in rows if row["heavy"]],
    }
    text = json.dumps(report, indent=1, ensure_ascii=False)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
