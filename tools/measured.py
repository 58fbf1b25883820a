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


def sabotage() -> str:
    """Faults that ``make sabotage`` planted: what each would do, where it was, and which test told of it."""
    seen = json.loads((ROOT / "benchmarks/results/sabotage.json").read_text(encoding="utf-8"))
    caught = sum(row["caught_by"] is not None for row in seen.values())
    minutes = sum(row["cpu_seconds"] for row in seen.values()) / 60
    rows = [
        (
            f"`{name}`",
            row["harm"],
            f"`{row['file'].removeprefix('src/baimu/')}`",
            f"`{row['caught_by'].removeprefix('tests/')}`" if row["caught_by"] else "**no test**",
        )
        for name, row in seen.items()
    ]
    columns = ("fault", "what a user would get", "planted in", "caught by")
    return f"{caught} of {len(seen)} faults were caught, in {minutes:.1f} minutes of CPU.\n\n{table(columns, rows)}"
