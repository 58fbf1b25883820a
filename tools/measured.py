"""Tables for docs/ from what was measured: files in benchmarks/results/."""

from __future__ import annotations

import json

from page_text import ROOT, table


def equality() -> str:
    """Metric × reference, from what ``make equality`` measured."""
    measured = json.loads((ROOT / "benchmarks/results/equality.json").read_text(encoding="utf-8"))
    rows = []
    for metric, found in measured.items():
        versions = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
        hard = ", ".join(f"{trait} {count:,}" for trait, count in found["traits"].items())
        largest = f"{found['largest']:.1g}" if found["largest"] else "0"
        counts = (f"{found['cases']:,}", f"{found['exact']:,}", largest, str(len(found["wrong"])))
        rows.append((metric, found["reference"] + (f" ({versions})" if versions else ""), *counts, hard))
    columns = ("metric", "reference", "cases", "without any difference", "largest difference", "beyond tolerance")
    return table((*columns, "cases with"), rows)
