"""What is in one split of lines of text, or of texts with labels, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baimu.datasets.source import ReadingSource, TextSource

PERCENTILES = (0, 10, 50, 90, 100)


@dataclass(frozen=True)
class LineSummary:
    """Of lines of text."""

    lines: int
    characters: int
    words: int
    per_class: dict[str, int]  # how often each character occurs
    text_lengths: list[float]  # characters of a line, at PERCENTILES
    widths: list[float]  # of a line at a height of 32 pixels, at PERCENTILES
    heights: list[float]  # pixels, at PERCENTILES

    counted = "characters"

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("lines", f"{self.lines:,}"),
            ("characters", f"{self.characters:,}"),
            ("words", f"{self.words:,}"),
            ("characters a line *", _numbers(self.text_lengths)),
            ("height in pixels *", _numbers(self.heights)),
            ("width at height 32 *", _numbers(self.widths)),
        ]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TextSummary:
    """Of texts with labels."""

    texts: int
    per_class: dict[str, int]
    words: list[float]  # of a text, at PERCENTILES
    repeated: int  # texts that stand there before, word for word

    counted = "texts"  # by class

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("texts", f"{self.texts:,}"),
            ("  repeated", f"{self.repeated:,}"),
            ("words a text *", _numbers(self.words)),
        ]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarize_lines(source: ReadingSource) -> LineSummary:
    texts = [source.text(i) for i in range(len(source))]
    sizes = np.array([source.size(i) for i in range(len(source))]).reshape(-1, 2)
    counts = Counter("".join(texts))
    return LineSummary(
        lines=len(texts),
        characters=counts.total(),
        words=sum(len(text.split()) for text in texts),
        per_class={name: counts[name] for name in source.classes},
        text_lengths=_percentiles([len(text) for text in texts]),
        widths=_percentiles(32 * sizes[:, 1] / sizes[:, 0]),
        heights=_percentiles(sizes[:, 0]),
    )


def summarize_texts(source: TextSource) -> TextSummary:
    texts = [source.text(i) for i in range(len(source))]
    counts = Counter(int(label) for i in range(len(source)) for label in source.labels(i))
    return TextSummary(
        texts=len(texts),
        per_class={name: counts[label] for label, name in enumerate(source.classes)},
        words=_percentiles([len(text.split()) for text in texts]),
        repeated=len(texts) - len(set(texts)),
    )


def _percentiles(values: Any) -> list[float]:
    return [round(float(v), 1) for v in np.percentile(values, PERCENTILES)] if len(values) else []


def _numbers(values: list[float]) -> str:
    return " / ".join(f"{value:.0f}" for value in values) or "–"
