"""The whole collection."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from tests.hostile import bombs, depths, places, turned, wrong
from tests.hostile.case import Case


@cache
def all_cases() -> tuple[Case, ...]:
    found = [case for part in (turned, depths, wrong, bombs, places) for case in part.cases()]
    twice = [name for name, count in Counter(case.name for case in found).items() if count > 1]
    assert not twice, twice
    return tuple(found)


def light_cases() -> list[Case]:
    return [case for case in all_cases() if not case.heavy]


def write(folder: Path, cases: list[Case] | None = None) -> list[tuple[Case, Path]]:
    """All files in ``folder``, whose names sort as the cases do, but for those whose name is what they are about."""
    return [(case, case.place(folder, i)) for i, case in enumerate(light_cases() if cases is None else cases)]
