"""The tables of a run: for the terminal, and as docs/parity.md."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.parity.outcome import TOLERANCE, Outcome, rounded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"
NOTE = "<!-- Made by `make parity PAGE=docs/parity.md`; edit tests/parity. -->\n\n"
COLUMNS = ("model", "equals", "source", "largest relative difference", "verdict")
INTRO = f"""# Parity

Each row is a model of this library and its reference with the same parameters and the same input, in float32 on a CPU.
A difference is relative to the largest magnitude of the tensor that is compared, and is rounded up to one digit; up to
{TOLERANCE:.0e} the two are called equal. *Features* are the maps of backbone and neck, *outputs* the raw predictions of
every head, *logits* those of a classifier, *losses* each item of the loss, *gradients* the norm of each parameter's
gradient; *proposals* and *predictions* are compared as sets, box by box, and *masks* pixel by pixel.
"""
GOLDENS = """
## Against recorded references

What a reference computed stands in files (goldens); weights, images and annotations are made from their rules, and the
model is read from the configuration that the file holds. `make parity GOLDENS=FOLDER` compares a folder of them.

"""
PEERS = """
## Against libraries

The library's own network, with random parameters and statistics, goes through the converter of its checkpoints, at two
sizes of input.

"""


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the page."""
    parts = ", ".join(f"{part} {rounded(difference)}" for part, difference in outcome.differences.items())
    return (f"`{outcome.call}`", f"`{outcome.file}`", outcome.source, parts, outcome.verdict)


def line(row: Iterable[str]) -> str:
    """A row of a markdown table."""
    return "| " + " | ".join(row) + " |\n"


def table(outcomes: Iterable[Outcome]) -> str:
    """What was compared, sorted by model."""
    rows = sorted(cells(o) for o in outcomes if not o.lacking)
    return line(COLUMNS) + line(["---"] * len(COLUMNS)) + "".join(map(line, rows))


def page(goldens: Sequence[Outcome], peers: Sequence[Outcome]) -> str:
    """The whole of docs/parity.md."""
    lacking = defaultdict(list)
    for outcome in goldens:
        if outcome.lacking:
            lacking[outcome.file.partition("/")[0]].append(outcome.file.partition("/")[2])
    names = "".join(f"\n- {folder}: {', '.join(sorted(files))}" for folder, files in sorted(lacking.items()))
    missing = f"\nFiles of models that are not here yet:\n{names}\n" if lacking else ""
    return NOTE + INTRO + GOLDENS + table(goldens) + missing + PEERS + table(peers)


def without_figures(text: str) -> str:
    """The text without differences, whose last digits are the processor's, and without versions."""
    text = re.sub(r" within rounding \([^)]*\)", "", text)  # as may be whether that was needed
    return re.sub(r"\b(\de[+-]\d\d|\d+(\.\d+)+|0)(?=[,| ])", "~", text)


def is_on_page(outcome: Outcome, text: str) -> bool:
    """Does docs/parity.md have this row, but for the figures?"""
    return without_figures(line(cells(outcome))) in without_figures(text)


def terminal(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """Rows for :func:`baimu.cli.table.print_table`: file, model, differences, verdict."""
    return [
        (o.file, o.call, "  ".join(f"{part} {rounded(d)}" for part, d in o.differences.items()), o.verdict)
        for o in sorted(outcomes, key=lambda o: (bool(o.lacking), o.file))
    ]
