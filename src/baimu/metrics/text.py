"""How well lines of text are read: character and word error rates, whole lines, and which letters are mixed up.

N lines. An edit is one character (or word) put in, left out or exchanged: Levenshtein's distance counts the fewest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

FIGURES = ("similarity", "accuracy", "accuracy_alphanumeric", "cer", "wer")
"""More is better of the first three, less of the error rates."""

SHOWN = 24
"""So many of the best and of the worst readings are remembered."""


class Read(NamedTuple):
    """One reading: ``line`` is its position among those scored."""

    line: int
    truth: str
    found: str
    edits: int
    score: float  # the reader's own


class Mix(NamedTuple):
    """``truth`` was read as ``found`` so often; one of them is empty where a character was left out or put in."""

    truth: str
    found: str
    count: int


@dataclass(frozen=True, eq=False)
class ReadingScores:
    """The figures, nan without lines, and what lies behind them.

    ``cer`` and ``wer``: edits over the characters, and words, of the truth, of all lines together; above 1 where a
    reader makes up more than there is. ``accuracy``: lines without any edit; ``accuracy_alphanumeric``: likewise, of
    letters without case and digits alone, as the six benchmarks count. ``similarity``: mean of 1 − edits over the
    longer of truth and reading (1-NED of ICDAR's competitions); of two empty texts 1.
    """

    lines: int
    characters: int
    words: int
    similarity: float
    accuracy: float
    accuracy_alphanumeric: float
    cer: float
    wer: float
    mixes: tuple[Mix, ...]  # the most frequent first
    class_counts: dict[str, int]  # of each character in the truth
    class_errors: dict[str, int]  # of these left out or exchanged
    worst: tuple[Read, ...]  # by their similarity
    best: tuple[Read, ...]  # the longest of those without an edit

    def figures(self) -> dict[str, float]:
        """The figures by name, in the order of :data:`FIGURES`."""
        return {name: getattr(self, name) for name in FIGURES}

    def table(self) -> list[dict[str, Any]]:
        """A row a character of the truth, by how often it is not read: its count, errors, and what it was read as."""
        rows = []
        for character, errors in sorted(self.class_errors.items(), key=lambda pair: (-pair[1], pair[0])):
            most = [f"{m.found or 'nothing'} ({m.count})" for m in self.mixes if m.truth == character][:3]
            count = self.class_counts[character]
            rows.append(
                {"character": character, "times": count, "errors": errors, "rate": errors / count}
                | {"read as": ", ".join(most)}
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Figures, characters and the worst readings ready for JSON (undefined: None)."""
        figures = {name: None if math.isnan(value) else value for name, value in self.figures().items()}
        return {
            **figures,
            "lines": self.lines,
            "characters": self.table(),
            "mixes": [mix._asdict() for mix in self.mixes],
            "worst": [read._asdict() for read in self.worst],
        }

    def __str__(self) -> str:
        lines = ["  ".join(f"{name} {value:.3f}" for name, value in self.figures().items())]
        lines.append(f"{self.lines:,} lines, {self.characters:,} characters, {self.words:,} words")
        rows = [row for row in self.table() if row["errors"]][:12]
        if rows:
            lines.append("character   times  errors   rate  read as")
        for row in rows:
            name = {" ": "space"}.get(row["character"], row["character"])
            lines.append(f"{name:<9}  {row['times']:>6}  {row['errors']:>6}  {row['rate']:5.1%}  {row['read as']}")
        return "\n".join(lines)


def score_readings(truths: Sequence[str], found: Sequence[str], scores: Sequence[float] | None = None) -> ReadingScores:
    """Judge the readings ``found`` of N lines by what stands in them. Blanks part words, and count as characters.

    Raises ``ValueError`` where the numbers of both differ.
    """
    if len(truths) != len(found):
        raise ValueError(f"{len(truths)} texts, but {len(found)} readings")
    scores = [math.nan] * len(found) if scores is None else scores
    rows = [
        Read(i, a, b, distance(a, b), float(s)) for i, (a, b, s) in enumerate(zip(truths, found, scores, strict=True))
    ]
    word_edits = sum(distance(row.truth.split(), row.found.split()) for row in rows)
    mixes = Counter(pair for row in rows if row.edits for pair in alignment(row.truth, row.found) if len(set(pair)) > 1)
    counts = Counter("".join(truths))
    errors = dict.fromkeys(counts, 0)
    for (a, _), count in mixes.items():
        if a:
            errors[a] += count
    closeness = [_similarity(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (closeness[i], -len(rows[i].truth)))
    right = sorted((row for row in rows if not row.edits), key=lambda row: -len(row.truth))
    words = sum(len(truth.split()) for truth in truths)
    return ReadingScores(
        lines=len(rows),
        characters=counts.total(),
        words=words,
        similarity=_mean(closeness),
        accuracy=_mean([row.edits == 0 for row in rows]),
        accuracy_alphanumeric=_mean([alphanumeric(row.truth) == alphanumeric(row.found) for row in rows]),
        cer=_share(sum(row.edits for row in rows), counts.total()),
        wer=_share(word_edits, words),
        mixes=tuple(Mix(a, b, count) for (a, b), count in sorted(mixes.items(), key=lambda m: (-m[1], m[0]))),
        class_counts=dict(sorted(counts.items())),
        class_errors=errors,
        worst=tuple(rows[i] for i in order if rows[i].edits)[:SHOWN],
        best=tuple(right[:SHOWN]),
    )


def alphanumeric(text: str) -> str:
    """Small letters and digits of ASCII alone, all else left out."""
    return "".join(c for c in text.lower() if c.isascii() and c.isalnum())


def distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Levenshtein's: the fewest items put in, left out or exchanged that make ``b`` of ``a``."""
    return int(_table(a, b)[-1, -1]) if len(a) and len(b) else max(len(a), len(b))


def alignment(a: Sequence[Any], b: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Pairs of the items of ``a`` and ``b`` by the fewest edits, an empty string where there is none on a side; of
    equally good ones those that exchange rather than leave out and put in."""
    table = _table(a, b)
    i, j = len(a), len(b)
    pairs: list[tuple[Any, Any]] = []
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((a[i], b[j]))
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
            pairs.append((a[i], ""))
        else:
            j -= 1
            pairs.append(("", b[j]))
    return pairs[::-1]


def _table(a: Sequence[Any], b: Sequence[Any]) -> np.ndarray:
    """(len a + 1, len b + 1) distances of all beginnings. Along a row, items put in are a running minimum."""
    number: dict[Any, int] = {}
    left, right = (np.array([number.setdefault(x, len(number)) for x in items], np.int64) for items in (a, b))
    steps = np.arange(len(right) + 1)
    table = np.empty((len(left) + 1, len(right) + 1), np.int64)
    table[0] = steps
    for i, item in enumerate(left.tolist(), start=1):
        row = table[i - 1] + 1
        np.minimum(row[1:], table[i - 1, :-1] + (right != item), out=row[1:])
        table[i] = np.minimum.accumulate(row - steps) + steps
    return table


def _similarity(row: Read) -> float:
    longest = max(len(row.truth), len(row.found))
    return 1.0 - row.edits / longest if longest else 1.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
