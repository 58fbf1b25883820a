"""The interface as a page, made of its OpenAPI description: no script, and nothing from another host."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --mark: #2563eb; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
section { border: 1px solid var(--line); border-radius: 10px; padding: .2rem 1.2rem 1rem; margin: 1.2rem 0; }
h2 { font-size: 1.1rem; } h3 { font-size: .9rem; color: var(--soft); margin-bottom: .2rem; }
h2 b { color: var(--mark); font-size: .85rem; margin-right: .5rem; }
code, h2 span { font-family: ui-monospace, monospace; font-size: .95em; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .25rem .8rem .25rem 0; vertical-align: top; }
a { color: var(--mark); }
"""


def reference(schema: dict[str, Any]) -> str:
    """All operations of an OpenAPI ``schema`` with parameters and answers."""
    sections = "".join(
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    title = f"{_text(schema['info']['title'])} {_text(schema['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: interface</title>'
        '<link rel="icon" href="data:,">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{_text(schema['info'].get('description', ''))}</p>"
        '<p><a href="openapi.json">openapi.json</a> for programs; <a href="./">a page</a> to try an image.</p>'
        f"{sections}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<h2><b>{_text(method.upper())}</b><span>{_text(path)}</span></h2>",
        f"<p>{_text(operation.get('summary', ''))}. {_text(operation.get('description', ''))}</p>",
    ]
    rows = {
        "Parameters": [(p["name"], p["in"], _kind(p["schema"])) for p in operation.get("parameters", ())],
        "Body": [(kind,) for kind in operation.get("requestBody", {}).get("content", ())],
        "Answers": [(status, answer["description"]) for status, answer in operation["responses"].items()],
    }
    parts += [
        f"<h3>{title}</h3><table>{''.join(_row(row) for row in table)}</table>"
        for title, table in rows.items()
        if table
    ]
    return f"<section>{''.join(parts)}</section>"


def _row(cells: tuple[str, ...]) -> str:
    first, *others = cells
    return f"<tr><td><code>{_text(first)}</code></td>{''.join(f'<td>{_text(cell)}</td>' for cell in others)}</tr>"


def _kind(schema: dict[str, Any]) -> str:
    """What a value may be, in a few words."""
    words = " or ".join(_words(schema))
    default = schema.get("default")
    return words + ("" if default is None else f"; by default {json.dumps(default, ensure_ascii=False)}")


def _words(schema: dict[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _words(one)
    elif "enum" in schema:
        yield from map(str, schema["enum"])
    elif schema.get("type") == "array":
        yield f"list of {' or '.join(_words(schema.get('items', {})))}"
    elif schema.get("type") != "null":
        yield schema.get("type", "anything")


def _text(text: Any) -> str:
    """Safe in HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(str(text)))
