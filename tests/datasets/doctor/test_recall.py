"""The doctor on labelled broken data sets: every fault is found, by code, file and record, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import baimu
from baimu.datasets.doctor.rules import RULES
from tests.datasets.doctor.faults import FAULTS, Expected, Fault
from tests.datasets.doctor.sets import MAKERS

PAIRS = 12
"""So many pairs of faults, drawn once, stand together in a set of each format that has enough."""
SLOTS = (1, 4)


class Case(NamedTuple):
    faults: tuple[Fault, ...]

    @property
    def id(self) -> str:
        return "+".join(fault.id for fault in self.faults)


def cases() -> list[Case]:
    singles = [Case((fault,)) for fault in FAULTS]
    pairs = []
    for base in MAKERS:
        mine = [fault for fault in FAULTS if fault.base == base and not fault.alone]
        both = list(combinations(mine, 2))
        order = np.random.default_rng(0).permutation(len(both))[:PAIRS]
        pairs += [Case(both[i]) for i in order]
    return singles + pairs


CASES = cases()


class Outcome(NamedTuple):
    case: Case
    expected: set[Expected]
    found: set[Expected]
    readable: bool


def examine(root: Path, case: Case) -> Outcome:
    """Plant the faults of a case and let the doctor look."""
    MAKERS[case.faults[0].base](root)
    expected = [e for fault, slot in zip(case.faults, SLOTS, strict=False) for e in fault.plant(root, slot)]
    report = baimu.check_data(str(root), deep=any(fault.deep for fault in case.faults))
    relative = ((f.code, os.path.relpath(f.file, root), f.record) for f in report.findings)
    found = {(code, "" if file == "." else file, record) for code, file, record in relative}
    return Outcome(case, set(expected), found, report.readable)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    home = tmp_path_factory.mktemp("broken")
    return [examine(home / str(number), case) for number, case in enumerate(CASES)]


def shown(outcomes: list[Outcome], part: Callable[[Outcome], set[Expected]]) -> Iterator[str]:
    return (f"{o.case.id}: {sorted(part(o))}" for o in outcomes if part(o))


def test_there_are_enough_sets_and_every_rule_is_broken_in_one(outcomes: list[Outcome]) -> None:
    assert len(CASES) >= 250
    assert len({case.id for case in CASES}) == len(CASES)
    assert set(RULES) == {code for outcome in outcomes for code, _, _ in outcome.expected}


def test_every_fault_is_found(outcomes: list[Outcome]) -> None:
    missed = list(shown(outcomes, lambda o: o.expected - o.found))
    recall = 1 - sum(len(o.expected - o.found) for o in outcomes) / sum(len(o.expected) for o in outcomes)
    assert recall >= 0.99, "\n".join(missed)
    assert not missed, "\n".join(missed)


def test_nothing_else_is_found(outcomes: list[Outcome]) -> None:
    wrong = list(shown(outcomes, lambda o: o.found - o.expected))
    precision = 1 - sum(len(o.found - o.expected) for o in outcomes) / sum(len(o.found) for o in outcomes)
    assert precision >= 0.99, "\n".join(wrong)
    assert not wrong, "\n".join(wrong)


def test_data_that_cannot_be_opened_are_told_from_data_that_are_wrong(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        assert outcome.readable == all(fault.readable for fault in outcome.case.faults), outcome.case.id


@pytest.mark.parametrize("name", MAKERS)
def test_clean_sets_have_no_finding(tmp_path: Path, name: str) -> None:
    report = baimu.check_data(str(MAKERS[name](tmp_path)), deep=True)
    assert report.findings == ()
    assert (report.readable, report.status("note")) == (True, 0)
