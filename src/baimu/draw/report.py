"""One HTML file that tells the whole run: facts, tables and pictures, readable anywhere, without a network."""

from __future__ import annotations

import base64
import html
import math
import mimetypes
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]  # title, header, rows
Picture = tuple[str, str | Path]  # title, file

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #667085; --paper: #f6f7f9; --card: #fff; --rule: #e4e7ec;
  --accent: #2563eb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --quiet: #98a2b3; --paper: #14171b; --card: #1d2127; --rule: #30363d; --accent: #7aa7ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 40px 0 12px; }
.when { color: var(--quiet); margin: 4px 0 24px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 0; }
dl > div, .scroll, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
dl > div { padding: 10px 14px; min-width: 0; }
.long { grid-column: span 2; }
dt { color: var(--quiet); font-size: 13px; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.scroll { overflow: auto; max-height: 75vh; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 14px; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); color: var(--quiet); font-size: 13px; font-weight: 600; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); gap: 16px;
  align-items: start; }
.wide { grid-column: 1 / -1; }
figure { margin: 0; padding: 12px; min-width: 0; }
figcaption { color: var(--quiet); font-size: 13px; margin-bottom: 8px; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; border-radius: 4px; background: #fff; }
label { cursor: zoom-in; }
input { position: absolute; opacity: 0; }
input:focus-visible + img { outline: 3px solid var(--accent); }
input:checked + img { position: fixed; inset: 0; z-index: 1; width: 100vw; height: 100vh; max-width: none;
  border-radius: 0; object-fit: contain; background: #000d; cursor: zoom-out; }
.missing { color: var(--quiet); font-style: italic; }
@media print { body { background: none; } figure, tr { break-inside: avoid; } .scroll { max-height: none; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="when">$when</p>
$facts
$tables
$pictures
</main>
</body>
</html>
""")


def write_report(
    path: str | Path,
    *,
    title: str,
    facts: Mapping[str, Any],
    tables: Sequence[Table] = (),
    pictures: Sequence[Picture] = (),
) -> Path:
    """Write the report to ``path`` (or ``path/report.html``, if that is a folder) and return where it lies.

    Every text is escaped, so a class name can do no harm; pictures stand in the file itself, and one that cannot be
    read is named in its place. Numbers are rounded to about four digits. The file appears whole or not at all.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    page = PAGE.substitute(
        title=html.escape(title),
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        facts=_facts(facts),
        tables="\n".join(_table(*table) for table in tables),
        pictures=_pictures(pictures),
    )
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8", errors="replace")
    os.replace(part, path)
    return path


def _text(value: Any) -> str:
    if isinstance(value, float) or type(value).__name__.startswith("float"):  # numpy's floats, without numpy
        short = value == 0 or 0.001 <= abs(value) < 10
        return "–" if math.isnan(value) else f"{float(value):.3f}" if short else f"{float(value):.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return html.escape(str(value))


def _facts(facts: Mapping[str, Any]) -> str:
    cards = "\n".join(
        f"<div{' class=long' if len(str(value)) > 24 else ''}><dt>{_text(key)}</dt><dd>{_text(value)}</dd></div>"
        for key, value in facts.items()
    )
    return f"<dl>\n{cards}\n</dl>" if facts else ""


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table whose columns of numbers stand at the right."""
    numeric = [bool(rows) and all(_is_number(row[i]) for row in rows if i < len(row)) for i in range(len(header))]
    classes = [' class="number"' if right else "" for right in numeric]
    head = "".join(f"<th{c}>{_text(name)}</th>" for name, c in zip(header, classes, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{c}>{_text(cell)}</td>" for cell, c in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<h2>{_text(title)}</h2>\n<div class="scroll">{table}</div>'


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, bool)


def _pictures(pictures: Sequence[Picture]) -> str:
    figures = "\n".join(_figure(title, Path(file)) for title, file in pictures)
    return f'<h2>Pictures</h2>\n<div class="pictures">\n{figures}\n</div>' if pictures else ""


def _figure(title: str, file: Path) -> str:
    """A picture as part of the page; a click (or the space bar) shows it at the size of the window."""
    caption = f"<figcaption>{_text(title)}</figcaption>"
    kind = mimetypes.guess_type(file.name)[0] or "image/png"
    try:
        data = base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return f'<figure>{caption}<p class="missing">{_text(file)}: {_text(reason)}</p></figure>'
    try:
        with Image.open(file) as picture:
            wide = picture.width > 1.6 * picture.height
    except (OSError, ValueError):  # a kind that a browser may know and Pillow does not, such as SVG
        wide = False
    image = f'<img src="data:{html.escape(kind)};base64,{data}" alt="{_text(title)}">'
    place = ' class="wide"' if wide else ""
    return f'<figure{place}>{caption}<label><input type="checkbox" aria-label="enlarge">{image}</label></figure>'
