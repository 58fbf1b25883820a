"""One case of a comparison, and what many of them say together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """The figures of both sides by name, numbers or arrays, nan where undefined; and what is hard in the case."""

    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    traits: set[str]

    def differences(self) -> dict[str, float]:
        """The largest difference of each figure; infinite where one side alone is defined, or the shapes differ."""
        assert set(self.ours) == set(self.theirs), "both sides must have the same figures"
        return {name: _difference(value, self.theirs[name]) for name, value in self.ours.items()}


@dataclass(frozen=True)
class Subject:
    """A metric and its reference. ``compare`` makes the case of a seed; ``traits`` are those that cases must have."""

    metric: str
    reference: str
    packages: tuple[str, ...]  # whose versions are told beside the figures
    tolerance: float  # 0: to the last digit
    traits: tuple[str, ...]
    compare: Callable[[int], Case]


@dataclass
class Tally:
    """What the cases of one subject came to."""

    cases: int = 0
    exact: int = 0  # cases without any difference
    largest: float = 0.0
    figures: tuple[str, ...] = ()
    traits: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, dict[str, float]] = field(default_factory=dict)  # seed → the figures beyond the tolerance

    def to_dict(self) -> dict[str, Any]:
        return vars(self) | {
            "traits": dict(self.traits.most_common()),
            "wrong": {str(k): v for k, v in self.wrong.items()},
        }


def tally(subject: Subject, seeds: range) -> Tally:
    """Compare on every seed. A case that differs is counted and named, and the next one follows."""
    told = Tally()
    for seed in seeds:
        case = subject.compare(seed)
        differences = case.differences()
        told.cases += 1
        told.figures = tuple(differences)
        told.traits.update(case.traits)
        largest = max(differences.values())
        told.exact += largest == 0
        told.largest = max(told.largest, largest)
        if largest > subject.tolerance:
            told.wrong[seed] = {name: value for name, value in differences.items() if value > subject.tolerance}
    return told


def _difference(ours: Any, theirs: Any) -> float:
    a, b = (np.asarray(side, np.float64) for side in (ours, theirs))
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return math.inf
    return float(np.abs(a - b)[~np.isnan(a)].max(initial=0.0))
