"""What a comparison found, as a row of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Any

TOLERANCE = 1e-4
"""Largest difference that counts as equal, relative to the largest magnitude of what is compared."""


@dataclass(frozen=True)
class Outcome:
    """One golden file, or one pair with a peer."""

    file: str
    source: str  # with its version
    model: str = ""  # a name of the catalogue, or a backbone
    arguments: dict[str, Any] = field(default_factory=dict)  # of the model, besides the file's limits
    differences: dict[str, float] = field(default_factory=dict)  # by part: features, outputs, losses, …
    as_given: dict[str, float] = field(default_factory=dict)  # by part: before the image was moved within rounding
    lacking: str = ""  # why there was nothing to compare with
    failed: str = ""  # why it could not be compared

    @property
    def wrong(self) -> list[str]:
        """Parts that differ."""
        return [part for part, difference in self.differences.items() if not difference <= TOLERANCE]

    @property
    def equal(self) -> bool:
        return bool(self.differences) and not self.wrong and not self.failed

    @property
    def verdict(self) -> str:
        if self.lacking:
            return f"no such model yet: {self.lacking}"
        if self.failed:
            return f"FAILS: {self.failed}"
        if not self.equal:
            return f"DIFFERS in {', '.join(self.wrong)}" if self.differences else "NOTHING COMPARED"
        before = (f"{part} of the image as it is {rounded(d)}" for part, d in self.as_given.items())
        return f"equal within rounding ({', '.join(before)})" if self.as_given else "equal"

    @property
    def call(self) -> str:
        """The model as it would be created."""
        shown = (f"{k}={getattr(v, '__name__', v)}" for k, v in self.arguments.items() if v is not None)
        return f"{self.model}({', '.join(shown)})" if self.model and self.arguments else self.model


def worst(differences: Iterable[float]) -> float:
    """The largest; ``inf`` where one is not a number, which ``max`` may pass over."""
    return max((inf if isnan(d) else float(d) for d in differences), default=0.0)


def rounded(value: float) -> str:
    """One significant digit, upwards: ``3e-06``. Nothing is rounded to look better than it is."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    exponent = math.floor(math.log10(value))
    digit = math.ceil(value / 10**exponent - 1e-9)
    return f"{digit}e{exponent:+03d}" if digit < 10 else f"1e{exponent + 1:+03d}"
