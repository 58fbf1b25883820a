"""The rules of the house, checked on the syntax tree: ``python tools/house.py``; exit code 1 when one is broken.

Sizes, the direction of imports, forbidden names, what a traced ``forward`` may not contain, cheap imports at the
command line, and lines that stand twice. Exceptions stand in ``house_allow.toml``, each with its reason; an entry
that no longer excuses anything is itself an error, and the file's ``ceiling`` may only go down.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

METHODS = {
    "detection", "instance_segmentation", "semantic_segmentation", "classification", "tracking", "generation",
    "faces", "bodies", "embedding", "matching", "text",
}  # fmt: skip
FLOORS = [
    {"baimu", "__main__"}, {"cli"}, {"deploy"}, {"training"}, {"inference"}, {"metrics"}, {"datasets"}, {"draw"},
    {"weights"}, {"runtimes"}, METHODS, {"backbones", "necks"}, {"layers"}, {"assign", "sample"}, {"losses"}, {"ops"},
    {"results", "masks", "targets", "preprocess", "words", "errors", "recipes", "zoo", "environment"},
]  # fmt: skip
"""Rooms from the roof down. A module imports from its own room and from lower floors."""
OPEN_FLOORS = (METHODS, FLOORS[-1])  # rooms of these may also import from each other

FORBIDDEN_NAMES = {"utils", "util", "misc", "common", "helpers", "helper", "base"}
CHEAP = {*sys.stdlib_module_names, "typer"}
WAITING = {"item", "tolist", "numpy", "nonzero", "masked_select"}  # methods of a tensor whose answer has no fixed shape
FILE_LINES, METHOD_LINES, BACKBONE_LINES, FUNCTION_LINES = 300, 450, 600, 70
ARGUMENTS, BOOLEANS, CLASS_DEPTH = 14, 2, 3
CLONE_WINDOW, CLONE_SHARE = 6, 0.08


class Finding(NamedTuple):
    """One broken rule. ``subject`` is what an allow-list entry names: a function, a module, a call."""

    file: str
    line: int
    rule: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.subject}: {self.message}"


class Module(NamedTuple):
    """One parsed file. ``name`` is dotted (``baimu.detection.fcos``), empty outside ``src``."""

    file: str
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else parts[0]


def read_modules(root: Path) -> list[Module]:
    """Every Python file of the library, the tools and the benchmarks below ``root``."""
    modules = []
    for folder in ("src", "tools", "benchmarks"):
        for path in sorted((root / folder).rglob("*.py")):
            inside = path.relative_to(root / folder).with_suffix("").parts
            name = ".".join(inside).removesuffix(".__init__") if folder == "src" else ""
            text = path.read_text(encoding="utf-8")
            modules.append(Module(path.relative_to(root).as_posix(), name, text, ast.parse(text)))
    return modules


def names(module: Module) -> Iterator[Finding]:
    """Names that say nothing, and packages nested too deep."""
    for part in Path(module.file).with_suffix("").parts:
        if FORBIDDEN_NAMES & set(part.split("_")):
            yield Finding(module.file, 1, "name", part, "say what belongs in it, so that it cannot become a drawer")
    if module.name.count(".") > 3:
        yield Finding(module.file, 1, "depth", module.name, "packages nest at most two deep below baimu")


def sizes(module: Module) -> Iterator[Finding]:
    """Lines a file and a function, arguments and booleans a constructor."""
    limit = METHOD_LINES if module.room in METHODS else BACKBONE_LINES if module.room == "backbones" else FILE_LINES
    lines = module.text.count("\n")
    if lines > limit:
        yield Finding(module.file, 1, "file", Path(module.file).name, f"{lines} lines, limit {limit}")
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES:
            yield Finding(module.file, node.lineno, "function", node.name, f"{lines} lines, limit {FUNCTION_LINES}")
        if node.name == "__init__" or any(ast.unparse(d).startswith("model(") for d in node.decorator_list):
            yield from _arguments(module, node)


def _arguments(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Finding]:
    arguments = [a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg != "self"]
    booleans = [a.arg for a in arguments if a.annotation and ast.unparse(a.annotation) == "bool"]
    if len(arguments) > ARGUMENTS:
        yield Finding(module.file, node.lineno, "arguments", node.name, f"{len(arguments)}, limit {ARGUMENTS}")
    if len(booleans) > BOOLEANS:
        yield Finding(module.file, node.lineno, "booleans", node.name, f"{', '.join(booleans)}; limit {BOOLEANS}")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(dotted module, line) of every import below ``tree``; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((f"{prefix}.{alias.name}", node.lineno) for alias in node.names)


def imports(module: Module) -> Iterator[Finding]:
    """Imports go down the list of floors, also those inside functions; relative ones are not used."""
    floor_of = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    if module.name and module.room not in floor_of:
        yield Finding(module.file, 1, "room", module.room, "not a room of the house; give it a floor in tools/house.py")
        return
    for target, line in imported(module.tree):
        if target.startswith("."):
            yield Finding(module.file, line, "imports", target, "write the import in full, from baimu")
        parts = target.split(".")
        if parts[0] != "baimu" or not module.name or module.room in ("baimu", "__main__"):
            continue
        room = parts[1] if len(parts) > 1 else "baimu"
        if room == module.room or target == "baimu.__version__" or (room == "baimu" and module.room == "cli"):
            continue
        here, there = floor_of[module.room], floor_of.get(room, 0)
        if there < here or (there == here and FLOORS[here] not in OPEN_FLOORS):
            subject = ".".join(parts[:3])
            yield Finding(
                module.file, line, "imports", subject, f"{module.room} may not import {room}, which is not below"
            )


def cheap_imports(module: Module) -> Iterator[Finding]:
    """``import baimu`` and ``baimu --help`` cost nothing: what is heavy is imported inside functions."""
    if module.room not in ("baimu", "__main__", "cli"):
        return
    for statement in module.tree.body:
        for target, line in imported(statement) if isinstance(statement, ast.Import | ast.ImportFrom) else ():
            light = target.startswith(("baimu.cli.", "baimu.errors.")) or target == "baimu.__version__"
            if target.split(".")[0] not in CHEAP and not (light and module.room != "baimu"):
                yield Finding(module.file, line, "cheap", target, "import it inside the function that needs it")


def traceable(module: Module) -> Iterator[Finding]:
    """``forward`` and ``decode`` hold nothing that a tracer would freeze or that waits for the device."""
    for function in ast.walk(module.tree):
        if module.name and isinstance(function, ast.FunctionDef) and function.name in ("forward", "decode"):
            for node in ast.walk(function):
                subject = _untraceable(node)
                if subject:
                    line = getattr(node, "lineno", function.lineno)
                    yield Finding(module.file, line, "trace", subject, f"in {function.name}: a traced graph freezes it")


def _untraceable(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("len", "int"):
        return f"{node.func.id}({ast.unparse(node.args[0]) if node.args else ''})"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAITING:
        return f"{ast.unparse(node.func.value)}.{node.func.attr}()"
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if any(
            isinstance(p, ast.Compare) or (isinstance(p, ast.UnaryOp) and isinstance(p.op, ast.Invert)) for p in parts
        ):
            return ast.unparse(node)
    return ""


def class_depth(modules: Iterable[Module]) -> Iterator[Finding]:
    """How many classes of the library stand above one another."""
    parents: dict[str, list[str]] = {}
    where: dict[str, tuple[Module, int]] = {}
    for module in modules:
        known = {target.rpartition(".")[2]: target for target, _ in imported(module.tree)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                name = f"{module.name}.{node.name}"
                local = (ast.unparse(b).split("[")[0] for b in node.bases)
                parents[name] = [known.get(b, f"{module.name}.{b}") for b in local]
                where[name] = module, node.lineno

    def depth(name: str) -> int:
        return 1 + max((depth(p) for p in parents[name] if p != name), default=0) if name in parents else 0

    for name, (module, line) in where.items():
        if depth(name) > CLASS_DEPTH:
            yield Finding(
                module.file, line, "class", name.rpartition(".")[2], f"depth {depth(name)}, limit {CLASS_DEPTH}"
            )


def code_lines(module: Module) -> list[tuple[int, str]]:
    """(number, text) of the lines that hold code: no docstrings, comments, imports or blank lines."""
    left_out = set()
    for node in ast.walk(module.tree):
        prose = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) and (prose or not isinstance(node, ast.Expr)):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = ((i, line.strip()) for i, line in enumerate(module.text.splitlines(), 1))
    return [(i, line) for i, line in lines if line and not line.startswith("#") and i not in left_out]


def clones(modules: Iterable[Module]) -> Iterator[Finding]:
    """Runs of six equal lines that stand in two places: all are named once they pass their share of the library."""
    places: dict[tuple[str, ...], list[list[tuple[str, int]]]] = defaultdict(list)
    total = 0
    for module in modules:
        lines = code_lines(module)
        total += len(lines)
        for i in range(len(lines) - CLONE_WINDOW + 1):
            window = lines[i : i + CLONE_WINDOW]
            places[tuple(text for _, text in window)].append([(module.file, number) for number, _ in window])
    doubled = [found for found in places.values() if len(found) > 1]
    share = len({line for found in doubled for window in found for line in window}) / max(total, 1)
    if share > CLONE_SHARE:
        for found in doubled:
            (file, line), *others = [window[0] for window in found]
            also = ", ".join(f"{f}:{n}" for f, n in others)
            yield Finding(file, line, "clone", also, f"six equal lines; {share:.1%} of the library stands twice")


def check(root: Path) -> list[Finding]:
    """Every broken rule below ``root``, exceptions taken out, useless exceptions put in."""
    modules = read_modules(root)
    library = [m for m in modules if m.name]
    findings = [f for m in modules for rule in (names, sizes, imports, cheap_imports, traceable) for f in rule(m)]
    findings += [*class_depth(library), *clones(library)]
    return _excuse(list(dict.fromkeys(findings)), root / "tools" / "house_allow.toml")


def _excuse(findings: list[Finding], path: Path) -> list[Finding]:
    allowed = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries = allowed.get("allow", [])
    used, left = set(), []
    for finding in findings:
        keys = {"rule": finding.rule, "file": finding.file, "subject": finding.subject}
        hits = [i for i, e in enumerate(entries) if all(e.get(k) == v for k, v in keys.items())]
        used.update(hits)
        if not hits:
            left.append(finding)
    for i, entry in enumerate(entries):
        subject = f"{entry.get('rule')} {entry.get('file')} {entry.get('subject')}"
        if i not in used:
            left.append(Finding(path.name, 1, "allow", subject, "excuses nothing any more: remove the entry"))
        if not entry.get("reason", "").strip():
            left.append(Finding(path.name, 1, "allow", subject, "has no reason"))
    if len(entries) != allowed.get("ceiling", 0):
        message = f"{len(entries)} entries, ceiling {allowed.get('ceiling', 0)}: the two are equal and only go down"
        left.append(Finding(path.name, 1, "allow", "ceiling", message))
    return left


if __name__ == "__main__":
    found = check(Path(__file__).resolve().parents[1])
    for item in sorted(found):
        print(item)
    print(f"{len(found)} broken rules" if found else "the house is in order")
    sys.exit(bool(found))
