"""Texts and lines of text: repeats, contradictions, leaks, and characters that no author wrote."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from baimu.datasets.doctor.report import Finding
from baimu.datasets.doctor.splits import pairs
from baimu.datasets.lines import Lines
from baimu.datasets.texts import LabelledTexts

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

FOREIGN = "\ufffd"
"""What decoders write for bytes that they do not understand."""


def check(opened: Opened) -> Iterator[Finding]:
    """X104 to X107."""
    seen: dict[str, dict[str, int]] = {}
    for split, part in opened.splits.items():
        if isinstance(part, LabelledTexts | Lines):
            for i, text in enumerate(part.texts):
                if spoiled := [
                    c for c in text if c == FOREIGN or (unicodedata.category(c) == "Cc" and c not in "\t\n\r")
                ]:
                    file, record = where(part, i)
                    shown = ", ".join(f"U+{ord(c):04X}" for c in dict.fromkeys(spoiled))
                    yield Finding("X107", file, record, f"{text[:60]!r} has {shown}", "used as it is", split)
        if isinstance(part, LabelledTexts):
            seen[split] = {}
            yield from _repeats(split, part, seen[split])
    for first, second in pairs(seen):
        for text in seen[first].keys() & seen[second].keys():
            file, record = where(opened.splits[first], seen[first][text])
            other = ", ".join(filter(None, where(opened.splits[second], seen[second][text])))
            text = f"{text[:60]!r} stands in {second} too ({other})"
            yield Finding("X106", file, record, text, "used in both", first)


def _repeats(split: str, part: LabelledTexts, seen: dict[str, int]) -> Iterator[Finding]:
    marks = part.marks.tolist()
    for i, text in enumerate(part.texts):
        first = seen.setdefault(text, i)
        if first == i:
            continue
        file, record = where(part, i)
        before = " ".join(where(part, first)[1:]) or os.path.basename(where(part, first)[0])
        if marks[first] == marks[i]:
            yield Finding("X104", file, record, f"{text[:60]!r} is that of {before}", "used twice", split)
        else:
            own, other = part.classes[marks[i]], part.classes[marks[first]]
            said = f"{text[:60]!r} is {own!r}, in {before} {other!r}"
            yield Finding("X105", file, record, said, "used as both", split)


def where(part: LabelledTexts | Lines, index: int) -> tuple[str, str]:
    """File and record of a text."""
    if isinstance(part, Lines):
        return part.name(index), part.places[index]
    file, mark, line = part.name(index).rpartition(":")
    return (file, f"line {line}") if mark and line.isdigit() else (part.name(index), "")
