"""Pages of docs/ that are made from the code: ``python tools/docs.py``; ``--check`` only tells which are out of date.

Whole pages: cli.md, api.md, data_rules.md, methods/*.md. Parts of pages stand between ``<!-- generated: NAME -->`` and
``<!-- end -->``. What no code knows (learned on what) is read from docs/evidence.toml, what was compared
with what from docs/parity.md, which ``make parity`` writes, and exports from benchmarks/results/export.json.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import statistics
import sys
import textwrap
import tomllib
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


def recipe_fields() -> str:
    """Every field of a recipe: default, what it may be, meaning."""
    from baimu.cli.settings import format_setting
    from baimu.recipes import Recipe

    schema = Recipe.model_json_schema()["properties"]
    rows = []
    for name, field in Recipe.model_fields.items():
        facts = schema[name]
        kinds = [facts, *facts.get("anyOf", ())]
        allowed = [f"`{choice}`" for kind in kinds for choice in kind.get("enum", ())]
        signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        allowed += [f"{sign} {kind[key]:g}" for kind in kinds for key, sign in signs.items() if key in kind]
        rows.append((f"`{name}`", f"`{format_setting(field.default)}`", ", ".join(allowed), field.description or ""))
    return table(("field", "default", "values", "meaning"), rows)


def cli_page() -> str:
    """Every verb with its arguments, options and example."""
    from typer.main import get_command

    from baimu.cli.main import app

    group: Any = get_command(app)
    verbs = (_verb(f"baimu {name}", verb, "##") for name, verb in group.commands.items())
    return "".join([NOTE, "# Command line\n\n", _prose(group.help), _parameters(group), *verbs])


def _verb(name: str, command: Any, heading: str) -> str:
    parts = [f"\n{heading} {name}\n\n", _prose(command.help), _parameters(command)]
    parts += [_verb(f"{name} {word}", verb, f"{heading}#") for word, verb in getattr(command, "commands", {}).items()]
    return "".join(parts)


def _prose(help_text: str) -> str:
    """Paragraphs, and the examples among them as one shell block."""
    paragraphs = inspect.cleandoc(help_text).split("\n\n")
    examples = [p.removeprefix("Example: ") for p in paragraphs if p.startswith("Example: ")]
    prose = "".join(f"{p}\n\n" for p in paragraphs if not p.startswith("Example: "))
    return prose + ("```sh\n" + "\n".join(examples) + "\n```\n\n" if examples else "")


def _parameters(command: Any) -> str:
    rows = []
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        name = ", ".join(parameter.opts) if is_option else parameter.metavar or parameter.name.upper()
        plain = isinstance(parameter.default, int | float | str | Path) and not isinstance(parameter.default, bool)
        default = "required" if parameter.required else f"`{parameter.default}`" if plain and parameter.default else ""
        rows.append((f"`{name}`", default, parameter.help or ""))
    return table(("argument", "default", "meaning"), rows) if rows else ""


def api_page() -> str:
    """Every public name with its signature and docstring, and the public methods of every public class."""
    import baimu

    parts = [NOTE, "# Python interface\n\nEvery name below is reached as `baimu.NAME` and loads on first use.\n"]
    for name in (n for n in baimu.__all__ if not n.startswith("_")):
        thing = getattr(baimu, name)
        doc = markdown(inspect.getdoc(thing) or "")
        if inspect.isclass(thing):
            parts.append(f"\n## {name}\n\n{doc}\n")
            parts += [_method(name, key, member) for key, member in _members(thing).items()]
        else:
            parts.append(f"\n## {name}\n\n```python\n{signature(thing)}\n```\n\n{doc}\n")
    return "".join(parts)


def _members(kind: type) -> dict[str, Any]:
    """The public members of a class, those of baimu's classes above it last."""
    own = [vars(c) for c in kind.__mro__ if c.__module__.startswith("baimu")]
    names = dict.fromkeys(name for members in own for name in members if not name.startswith("_"))
    return {name: inspect.getattr_static(kind, name) for name in names}


def _method(owner: str, name: str, member: Any) -> str:
    function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    doc = markdown(inspect.getdoc(function) or "")
    if isinstance(member, property):
        return f"\n### {owner}.{name}\n\n{doc}\n"
    if not inspect.isfunction(function) or not doc:
        return ""
    return f"\n### {owner}.{name}\n\n```python\n{signature(function)}\n```\n\n{doc}\n"


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


def rules_page() -> str:
    """Every rule of the data doctor, by theme."""
    from baimu.datasets.doctor.rules import DEEP, RULES, SEVERITIES, THEMES

    counts = ", ".join(f"{sum(rule.severity == word for rule in RULES.values())} {word}s" for word in SEVERITIES)
    parts = [
        f"{NOTE}# What `baimu data check` looks for\n\n{len(RULES)} rules: {counts}. A code never changes its meaning. "
        "An error is skipped, left out or read wrongly, or stops the training; a warning is probably not what was meant; "
        "a note is legal and worth knowing. Rules marked *deep* read all pixels and run with `--deep`.\n"
    ]
    for letter, theme in THEMES.items():
        rows = []
        for rule in (rule for rule in RULES.values() if rule.code[0] == letter):
            severity = rule.severity + (", *deep*" if rule.code in DEEP else "")
            rows.append((f"`{rule.code}`", severity, rule.title, rule.mend, rule.fix))
        parts.append(f"\n## {theme}\n\n{table(('code', 'severity', 'what', 'mend', '--fix'), rows)}")
    return "".join(parts)


def generate() -> dict[Path, str]:
    """Path → text of every page that has something generated in it."""
    methods, pages = method_pages()
    pages |= {"cli.md": cli_page(), "api.md": api_page(), "data_rules.md": rules_page()}
    parts = {"recipe": recipe_fields(), "methods": methods, "exports": export_matrix()}
    for path in DOCS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"<!-- generated: (\w+) -->", text):
            start, rest = text.split(f"<!-- generated: {name} -->\n", 1)
            text = f"{start}<!-- generated: {name} -->\n{parts[name]}<!-- end -->{rest.partition('<!-- end -->')[2]}"
            pages[path.name] = text
    return {DOCS / name: text for name, text in pages.items()}


def main() -> None:
    """Write the pages, or with ``--check`` name those that differ and leave with exit code 1."""
    pages = generate()
    left_over = [p for p in (DOCS / "methods").glob("*.md") if p not in pages]
    changed = [p for p, text in pages.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    for path in [*changed, *left_over]:
        print(path.relative_to(ROOT))
    if "--check" in sys.argv[1:]:
        raise SystemExit(bool(changed or left_over))
    for path in left_over:
        path.unlink()
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")


if __name__ == "__main__":
    main()
