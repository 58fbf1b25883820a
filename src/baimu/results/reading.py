"""What stands in a line of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from baimu.results.result import Result


class Candidate(NamedTuple):
    """One text that a line may hold."""

    text: str
    score: float  # its probability


@dataclass(frozen=True, eq=False)
class Reading(Result):
    """The text of a line.

    ``score`` is the probability of the whole text in 0…1, of all ways to write it into the line; ``confidences`` (L,)
    float32 in 0…1 tell how sure each of its L characters is. ``alternatives``: texts that are possible, too, the best
    first. ``size``, ``source``, ``image`` and ``read`` as of :class:`~baimu.results.result.Result`; ``names`` are the
    characters that the reader knows. Raises ``ValueError`` when these do not fit.
    """

    text: str
    score: float
    confidences: np.ndarray
    size: tuple[int, int]
    source: str = ""
    alternatives: tuple[Candidate, ...] = ()
    names: tuple[str, ...] = ()
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if not all(0 <= s <= 1 for s in (self.score, *self.confidences, *(a.score for a in self.alternatives))):
            raise ValueError(f"scores and confidences must lie in 0…1 (source {self.source!r})")

    def __str__(self) -> str:
        return self.text

    @property
    def summary(self) -> str:
        """The text and its probability: ``"TOTAL 12.00" 97.3%``."""
        return f'"{self.text}" {self.score:.1%}'

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON; the image stays behind."""
        return {
            "source": self.source,
            "height": self.size[0],
            "width": self.size[1],
            "text": self.text,
            "score": self.score,
            "confidences": [round(float(c), 4) for c in self.confidences],
            "alternatives": [candidate._asdict() for candidate in self.alternatives],
        }

    columns = ("source", "text", "score")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row, the line's text."""
        return [(self.source, self.text, f"{self.score:.4f}")]
