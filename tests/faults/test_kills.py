"""A few of the kills of ``make kills``, so that every test run sees them; that goal does fifty."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.faults import kills
from tests.training.tiny import run


def test_a_training_that_is_killed_ends_as_if_it_had_not_been() -> None:
    """In a process of its own: one that has scored a detector has threads, which its forks would not have."""
    words = [sys.executable, "-m", "tests.faults.kills", "--count", "4", "--seed", "1"]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == found["whole_checkpoints"] == 4
    assert found["equal"] == found["trainings"]


def test_runs_that_differ_are_not_equal(tmp_path: Path) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / folder, epochs=1, seed=seed)
    assert kills.equal(tmp_path / "a", tmp_path / "b")
    assert not kills.equal(tmp_path / "a", tmp_path / "c")
