"""Docstrings, signatures and tables as Markdown, for the pages that tools make."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTE = "<!-- Made by `make docs`; edit the code it comes from. -->\n\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; what would end a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def markdown(docstring: str) -> str:
    """A docstring of this library as markdown: roles, literals and simple tables are all that it may hold of reST."""
    tables = r"^=+(?: +=+)+\n(?:.*\n)*?=+(?: +=+)+\n(?:.*\n)*?=+(?: +=+)+$"
    text = re.sub(tables, _simple_table, docstring, flags=re.MULTILINE)  # first: the rest would shift the columns
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def _simple_table(found: re.Match[str]) -> str:
    ruler, *lines = found[0].split("\n")
    starts = [m.start() for m in re.finditer("=+", ruler)]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    rows: list[list[str]] = []
    for line in lines:
        cells = [line[a:b].strip() for a, b in spans]
        if line.startswith("="):
            continue
        if cells[0] or not rows:
            rows.append(cells)
        else:  # a row goes on
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
    return table(rows[0], rows[1:]).rstrip("\n")


def signature(thing: Any) -> str:
    """The ``def`` line as it stands in the source, one argument a line where it is long."""
    node = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    assert isinstance(node, ast.FunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.split(r", (?![^\[({]*[\])}])", ast.unparse(node.args))
    arguments = [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", argument) for argument in arguments]
    flat = f"{node.name}({', '.join(arguments)}){returns}"
    return flat if len(flat) <= 100 else "\n".join([f"{node.name}(", *(f"    {a}," for a in arguments), f"){returns}"])
