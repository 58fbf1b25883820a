"""The doctor's page: one HTML file with counts, pictures of what is wrong, and the balance of classes."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from baimu.datasets.doctor.page_style import PAGE
from baimu.datasets.doctor.pictures import offender
from baimu.datasets.doctor.report import Finding, Report
from baimu.datasets.doctor.rules import RULES, Rule

PICTURES, RECORDS, CLASSES = 8, 100, 60
"""Of a rule or a table, so many are shown; the JSON has them all."""


def write_page(report: Report, path: Path) -> Path:
    """Write the page to ``path`` (or ``path/data_check.html``, if that is a folder); whole, or not at all."""
    path = path / "data_check.html" if path.is_dir() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    root = report.source if os.path.isdir(report.source) else os.path.dirname(report.source)
    page = PAGE.substitute(
        title=_text(report.source),
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        what=_text(", ".join(filter(None, (report.format, report.kind, "all pixels read" if report.deep else "")))),
        facts=_facts(report),
        verdict=_verdict(report),
        index=_index(report),
        rules="\n".join(_rule(RULES[code], report.of(code), root) for code in report.counts),
        splits=_splits(report),
    )
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8", errors="replace")
    os.replace(part, path)
    return path


def _text(value: Any) -> str:
    return html.escape(f"{value:,}" if isinstance(value, int) else str(value))


def _facts(report: Report) -> str:
    cards = [(f"{word}s", count, word if count else "none") for word, count in report.severities.items()]
    cards += [(f"{name} images", _count(part), "") for name, part in report.splits.items()]
    return "".join(
        f'<div class="fact {mark}"><dd>{_text(value)}</dd><dt>{_text(name)}</dt></div>' for name, value, mark in cards
    )


def _count(part: Any) -> int:
    facts = part.to_dict()
    return next((facts[key] for key in ("images", "texts", "lines", "sequences") if key in facts), 0)


def _verdict(report: Report) -> str:
    if not report.readable:
        return '<p class="verdict error">Part of this data set cannot be read at all.</p>'
    if report.severities["error"]:
        return ""
    said = "Nothing is wrong." if not report.findings else "No errors."
    return f'<p class="verdict good">{said}</p>'


def _index(report: Report) -> str:
    """All rules that are broken, with their counts as bars."""
    if not report.counts:
        return ""
    most = max(report.counts.values())
    rows = "".join(
        f'<a class="row {RULES[code].severity}" href="#{code}"><code>{code}</code>'
        f"<span>{_text(RULES[code].title)}</span>"
        f'<i><b style="width:{max(2, round(100 * count / most))}%"></b></i><em>{_text(count)}</em></a>'
        for code, count in report.counts.items()
    )
    return f'<nav class="card">{rows}</nav>'


def _rule(rule: Rule, found: Sequence[Finding], root: str) -> str:
    fix = f"<p><b>--fix</b> {_text(rule.fix)}.</p>" if rule.fix else ""
    shown = found[:RECORDS]
    rows = "".join(
        f"<tr><td>{_text(_short(f.file, root))}</td><td>{_text(f.record)}</td><td>{_text(f.message)}</td></tr>"
        for f in shown
    )
    more = (
        f'<p class="quiet">and {_text(len(found) - len(shown))} more: see the JSON</p>' if len(found) > RECORDS else ""
    )
    return (
        f'<section id="{rule.code}"><h2><span class="badge {rule.severity}">{rule.code}</span> {_text(rule.title)} '
        f'<span class="quiet">{_text(len(found))}</span></h2>'
        f"<p>{_mend(rule.mend)}</p>{fix}{_gallery(found, root)}"
        f'<details{" open" if len(found) <= PICTURES else ""}><summary>records</summary><div class="scroll"><table>'
        f"<thead><tr><th>file</th><th>record</th><th>what</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
        f"{more}</section>"
    )


def _mend(text: str) -> str:
    parts = _text(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _short(file: str, root: str) -> str:
    relative = os.path.relpath(file, root) if root and os.path.isabs(file) == os.path.isabs(root) else file
    return file if relative.startswith("..") else relative


def _gallery(found: Sequence[Finding], root: str) -> str:
    """Pictures of the first that have one; of each image file once, unless a box tells them apart."""
    seen: set[tuple[str, Any]] = set()
    figures = []
    for finding in found:
        if len(figures) == PICTURES:
            break
        if not finding.image or (finding.image, finding.box) in seen:
            continue
        seen.add((finding.image, finding.box))
        data = offender(finding)
        if data is not None:
            title = _text(", ".join(filter(None, (_short(finding.image, root), finding.record))))
            figures.append(
                f'<figure><img src="data:image/jpeg;base64,{data}" alt="{title}" title="{_text(finding.message)}">'
                f"<figcaption>{title}</figcaption></figure>"
            )
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def _splits(report: Report) -> str:
    if not report.splits:
        return ""
    return f"<h1>What is in it</h1>{_balance(report)}{_sizes(report)}"


def _balance(report: Report) -> str:
    """Examples of each class in each split, as bars."""
    parts = {name: dict(part.per_class) for name, part in report.splits.items()}
    totals: dict[str, int] = {}
    for counts in parts.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    if not totals:
        return ""
    order = sorted(totals, key=lambda name: -totals[name])
    left = len(order) - CLASSES
    counted = next(iter(report.splits.values())).counted
    rows = "".join(
        f"<tr><td>{_text(name)}</td>"
        + "".join(_bar(counts.get(name, 0), counts) for counts in parts.values())
        + "</tr>"
        for name in order[:CLASSES]
    )
    more = f'<p class="quiet">and {_text(left)} rarer classes</p>' if left > 0 else ""
    return _table(f"Classes by {counted}", ["class", *parts], rows) + more


def _bar(count: int, counts: dict[str, int]) -> str:
    share = round(100 * count / max(1, max(counts.values(), default=1)), 1)
    return (
        f'<td class="bar{" zero" if not count else ""}"><i style="width:{share}%"></i><span>{_text(count)}</span></td>'
    )


def _sizes(report: Report) -> str:
    """The other numbers of each split, as they are printed."""
    parts = [dict(part.rows()) for part in report.splits.values()]
    names = list(dict.fromkeys(name for part in parts for name in part))
    rows = "".join(
        f"<tr><td>{_text(name.strip())}</td>"
        + "".join(f"<td>{_text(part.get(name, ''))}</td>" for part in parts)
        + "</tr>"
        for name in names
    )
    legend = '<p class="quiet">* least / 10 % / median / 90 % / most</p>'
    return _table("Sizes", ["", *report.splits], rows) + legend


def _table(title: str, header: Iterable[str], rows: str) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{_text(title)}</h2><div class="scroll">{table}</div>'
