"""The table of all methods, a page a method file, and the matrix of exports.

What no code knows (learned on what) is read from docs/evidence.toml, what was compared with what from docs/parity.md,
which ``make parity`` writes, and exports from benchmarks/results/export.json.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import statistics
import tomllib
from collections.abc import Sequence
from typing import Any

from page_text import DOCS, NOTE, ROOT, markdown, table


def parameters(name: str) -> str:
    """Parameters of a model in millions, counted without making them."""
    import torch

    from baimu.zoo import create_model

    with torch.device("meta"):
        model = create_model(name)
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M"


def parity() -> dict[str, str]:
    """Of each name with a row on docs/parity.md: the sources it equals, and in what."""
    found: dict[str, list[str]] = {}
    text = (DOCS / "parity.md").read_text(encoding="utf-8")
    row = r"^\| `(\w+)[^|]*` \| [^|]* \| ([^|]*) \| ([^|]*) \| equal"
    for name, source, parts in re.findall(row, text, re.MULTILINE):
        said = f"{source}: {', '.join(part.split()[0] for part in parts.split(', '))}"
        if said not in found.setdefault(name, []):
            found[name].append(said)
    return {name: "; ".join(sources) for name, sources in found.items()}


def method_pages() -> tuple[str, dict[str, str]]:
    """The table of all names, and one page a method file from its docstring."""
    from baimu import zoo

    evidence = tomllib.loads((DOCS / "evidence.toml").read_text(encoding="utf-8"))
    unknown = set(evidence) - set(zoo.index())
    if unknown:
        raise SystemExit(f"docs/evidence.toml names models that do not exist: {', '.join(sorted(unknown))}")
    exported = {
        name: ", ".join(format for format, row in rows.items() if "why" not in row) for name, rows in exports().items()
    }
    compared = {name: f"[{sources}](parity.md)" for name, sources in parity().items()}
    by_file: dict[str, list[Any]] = {}
    for info in zoo.models():
        by_file.setdefault(info.module, []).append(info)
    pages, rows = {}, []
    for module, infos in by_file.items():
        page = f"methods/{module.rpartition('.')[2]}.md"
        pages[page] = _method_page(module, infos)
        for info in infos:
            known = evidence.get(info.name, {}) | ({"parity": compared[info.name]} if info.name in compared else {})
            known |= {"exports": f"[{exported[info.name]}](export.md)"} if exported.get(info.name) else {}
            rows.append(
                (
                    f"[`{info.name}`]({page})",
                    _paper(info.paper),
                    parameters(info.name),
                    _figures(info.reported),
                    *(known.get(key, "") for key in ("parity", "learned", "exports")),
                )
            )
    columns = ("name", "paper", "parameters", "published", "parity", "learned on", "exports")
    return table(columns, sorted(rows)), pages


def exports() -> dict[str, dict[str, Any]]:
    """Of each name that ``benchmarks/export.py`` has measured: format → its row."""
    path = ROOT / "benchmarks" / "results" / "export.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def export_matrix() -> str:
    """Method × format: largest difference, size and latency; below it what cannot be, and why."""
    formats = ("onnx", "openvino", "torch", "torchscript", "mnn", "aotinductor")
    rows, reasons = [], []
    for name, cells in exports().items():
        eager = [cell["eager_ms"] for cell in cells.values() if "eager_ms" in cell]
        row = [f"`{name}`", f"{statistics.median(eager):.3g}" if eager else ""]
        for format in formats:
            cell = cells.get(format)
            if cell is None:
                row.append("")
            elif "why" in cell:
                row.append("no")
                reasons.append((f"`{name}`", format, " ".join(cell["why"].split())[:240].replace("|", "/")))
            else:
                row.append(f"{cell['difference']:.0e}; {cell['mib']:.3g}; {cell['ms']:.3g}")
        rows.append(row)
    page = table(("network", "eager, ms", *formats), rows)
    return page + ("\n" + table(("network", "format", "why not"), reasons) if reasons else "")


def _figures(reported: dict[str, float]) -> str:
    return ", ".join(f"{metric.replace('_', ' ')} {value:g}" for metric, value in reported.items())


def _paper(paper: str) -> str:
    """A link, where it is on arXiv."""
    return f"[{paper}](https://arxiv.org/abs/{paper})" if paper[:4].isdecimal() and "." in paper else paper


def _method_page(module: str, infos: Sequence[Any]) -> str:
    source = f"src/{module.replace('.', '/')}.py"
    title, _, rest = markdown(inspect.getdoc(importlib.import_module(module)) or "").partition("\n")
    rows = [(f"`{i.name}`", i.title, parameters(i.name), _figures(i.reported)) for i in infos]
    names = table(("name", "what it is", "parameters", "published"), rows)
    return f"{NOTE}# {title.removesuffix('.')}\n{rest}\n\n## Names\n\n{names}\nSource: [{source}](../../{source})\n"
