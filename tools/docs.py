"""Pages of docs/ that are made from the code: ``python tools/docs.py``; ``--check`` only tells which are out of date.

Whole pages: cli.md, api.md, data_rules.md, methods/*.md. Parts of pages stand between ``<!-- generated: NAME -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from measured import equality, sabotage
from method_pages import export_matrix, method_pages
from page_text import DOCS, NOTE, ROOT, markdown, signature, table


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


def rules_page() -> str:
    """Every rule of the data doctor, by theme."""
    from baimu.datasets.doctor.rules import DEEP, RULES, SEVERITIES, THEMES

    counts = ", ".join(f"{sum(rule.severity == word for rule in RULES.values())} {word}s" for word in SEVERITIES)
    parts = [
        f"{NOTE}# What `baimu data check` looks for\n\n{len(RULES)} rules: {counts}. A code never changes its meaning. "
        "An error is skipped, left out or read wrongly, or stops the training; a warning is probably not what was "
        "meant; a note is legal and worth knowing. Rules marked *deep* read all pixels and run with `--deep`.\n"
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
    parts = {
        "recipe": recipe_fields(),
        "methods": methods,
        "exports": export_matrix(),
        "sabotage": sabotage(),
        "equality": equality(),
    }
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
