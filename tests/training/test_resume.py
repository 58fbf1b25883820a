"""A training that is killed at any instant and continued ends as the one that never stopped, to the last bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baimu.errors import CheckpointError
from baimu.training import loop, results_csv, saver
from baimu.training.results_csv import read_results
from baimu.weights import archive
from baimu.weights.archive import read_document
from tests.training.tiny import TinyDetector, assert_same, run, start, weights_of

CHANGES: dict[str, Any] = {"epochs": 4, "save_every": 4}  # six steps an epoch: saves in mid-epoch and at its end


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(folder, **CHANGES)
    return folder


def killed(work: Callable[[], Any], after: float | None = None) -> None:
    """Do ``work`` in a child that kills itself, or is killed ``after`` so many seconds."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)  # not reached by a child that was killed
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == -signal.SIGKILL or (after is not None and status == 1)


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(owner: Any, name: str, call: int, *, afterwards: bool = False) -> Callable[[], None]:
    """Make the ``call``-th call of ``owner.name`` the last thing that happens."""

    def arm() -> None:
        original, calls = getattr(owner, name), 0

        def patched(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call and not afterwards:
                die()
            result = original(*arguments, **options)
            if calls == call:
                die()
            return result

        setattr(owner, name, patched)

    return arm


INSTANTS = {
    "before the first step": dying_at(loop, "optimise", 1),
    "before the first save": dying_at(loop, "optimise", 3),
    "mid-epoch, just after a save": dying_at(loop, "optimise", 5),
    "mid-epoch, steps after a save": dying_at(loop, "optimise", 16),
    "between the halves of a step": dying_at(saver.Phase, "update", 11),
    "when the first byte is written": dying_at(archive, "_bytes_of", 2),
    "in the middle of writing a file": dying_at(archive, "_bytes_of", 300),
    "between write and rename": dying_at(archive.os, "replace", 4),
    "just after the rename": dying_at(archive.os, "replace", 4, afterwards=True),
    "between best and last": dying_at(saver.Saver, "save_best", 1, afterwards=True),
    "before a row is written": dying_at(results_csv.ResultsFile, "append", 9),
    "after a row is written": dying_at(results_csv.ResultsFile, "append", 12, afterwards=True),
    "at the very end": dying_at(saver.Saver, "save_last", 10, afterwards=True),
}


def assert_equal_runs(one: Path, other: Path) -> None:
    assert_same(weights_of(one), weights_of(other))
    assert_same(weights_of(one, "best.safetensors"), weights_of(other, "best.safetensors"))
    rows = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in read_results(f / "results.csv")] for f in (one, other)
    ]
    assert rows[0] == rows[1]
    documents = [read_document(f / "last.safetensors") for f in (one, other)]
    for document in documents:
        del document["record"]["seconds"]
    assert documents[0] == documents[1]
    assert not list(other.glob(".*"))


@pytest.mark.parametrize("instant", INSTANTS)
def test_killed_at_an_instant(tmp_path: Path, uninterrupted: Path, instant: str) -> None:
    def work() -> None:
        INSTANTS[instant]()
        run(tmp_path, **CHANGES)

    killed(work)
    run(tmp_path, resume=True, **CHANGES)
    assert_equal_runs(uninterrupted, tmp_path)


def test_killed_many_times_at_any_time(tmp_path: Path, uninterrupted: Path) -> None:
    for i in range(12):
        killed(lambda: run(tmp_path, resume=True, **CHANGES), after=0.02 + 0.017 * i)
    run(tmp_path, resume=True, **CHANGES)
    assert_equal_runs(uninterrupted, tmp_path)


def test_a_finished_run_continues_to_nothing(tmp_path: Path, uninterrupted: Path) -> None:
    run(tmp_path, **CHANGES)
    before = (tmp_path / "last.safetensors").read_bytes()
    run(tmp_path, resume=True, **CHANGES)
    assert (tmp_path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "adamw", "lr": 0.005}, {"ema_decay": 0.0}, {"accumulate": 2, "clip_norm": 1.0}, {"momentum": 0.0}],
)
def test_every_kind_of_state_is_carried_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run(straight, **CHANGES, **changes)

    def work() -> None:
        dying_at(loop, "optimise", 16)()
        run(broken, **CHANGES, **changes)

    killed(work)
    run(broken, resume=True, **CHANGES, **changes)
    assert_equal_runs(straight, broken)


def test_a_longer_run_continues_a_finished_one(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    training = run(tmp_path, resume=True, epochs=2)
    assert training.place.step == 12
    assert [row["epoch"] for row in read_results(tmp_path / "results.csv")] == [1] * 6 + [2] * 6


def test_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"(?s)belongs to another model .*\(3, 8, 1, 1\) in the file, \(6, 8, 1, 1\)"
    ):
        start(tmp_path, model=lambda: TinyDetector(num_classes=5), resume=True)
