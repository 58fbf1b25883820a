"""A few of the kills of ``make kills``, so that every test run sees them; that goal does fifty."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import kills
from tests.training.tiny import run


def test_a_training_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kills.CHANGES, "epochs", 3)
    found = kills.run(4, 1, tmp_path)
    assert found["kills"] == found["whole_checkpoints"] == 4
    assert found["equal"] == found["trainings"]


def test_runs_that_differ_are_not_equal(tmp_path: Path) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / folder, epochs=1, seed=seed)
    assert kills.equal(tmp_path / "a", tmp_path / "b")
    assert not kills.equal(tmp_path / "a", tmp_path / "c")
