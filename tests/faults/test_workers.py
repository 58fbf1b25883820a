"""A loading worker that is killed, hangs or fails ends the run in bounded time, and the message names its images."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import get_worker_info

import baimu
from baimu.datasets import workers
from baimu.datasets.playground import Playground
from baimu.datasets.source import Splits
from baimu.datasets.workers import Crew, naming_images
from baimu.errors import DataError
from baimu.targets import Batch
from baimu.training import detection
from tests.training.small import CLASSES, QUICK, small_fcos
from tests.training.tiny import make_batch

BAD = 5


class Troubled(workers.Maker):
    """Something happens to the worker that is to make the batch with image ``BAD``."""

    def __init__(self, trouble: str = "none") -> None:
        self.trouble, self.source = trouble, self

    def __len__(self) -> int:
        return 24

    def name(self, index: int) -> str:
        return f"image {index}"

    def batch(self, indices: list[int]) -> Batch:
        if BAD in indices and self.trouble.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[self.trouble])
        if BAD in indices and self.trouble == "exit":
            os._exit(3)
        if BAD in indices and self.trouble == "raise":
            raise ZeroDivisionError("division by zero")
        if BAD in indices and self.trouble == "late":
            time.sleep(1.5)
        if BAD in indices and self.trouble in ("hang", "SIGBUS", "SIGSEGV"):  # torch catches these two
            time.sleep(600)
        return make_batch(indices)


def batches(trouble: str, count: int = 2) -> list[Batch]:
    """Four batches of two, as a training reads them."""
    with naming_images():
        return list(Crew(Troubled(trouble), [[0, 1], [2, 3], [4, BAD], [6, 7]], count).batches())


def test_without_trouble_they_all_come() -> None:
    assert [batch.indices for batch in batches("none")] == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize(
    ("trouble", "ended", "mend"),
    [
        ("SIGKILL", r"was killed \(SIGKILL\)", "Most often memory has run out: lower workers or batch_size"),
        ("SIGBUS", r"was killed \(SIGBUS\)", "Shared memory is full: give the machine or container more of it"),
        ("SIGSEGV", r"was killed \(SIGSEGV\)", "One of them may break its decoder: baimu data check finds out which"),
        ("exit", "ended", "Most often memory has run out"),
    ],
)
def test_a_lost_worker_is_named_with_its_images(trouble: str, ended: str, mend: str) -> None:
    began = time.monotonic()
    said = rf"^worker 1 of 2 that load data {ended}; the batch it was at has the images image 4, image 5\. {mend}"
    with pytest.raises(DataError, match=said):
        batches(trouble)
    assert time.monotonic() - began < 90


def test_a_worker_that_hangs_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * workers.PATIENCE <= 120
    monkeypatch.setattr(workers, "PATIENCE", 2.0)
    said = r"^a worker .* has not brought its batch in 4 seconds; images: image 4, image 5\. .*workers=0 waits"
    with pytest.raises(DataError, match=said):
        batches("hang")


def test_a_batch_that_comes_at_the_second_look_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-Z, when the time that the program stood still has run out at once."""
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    assert len(batches("late", 1)) == 4


@pytest.mark.parametrize("count", [0, 1])
def test_a_mistake_in_a_data_source_keeps_its_traceback_and_is_told_the_images(count: int) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        batches("raise", count)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert "while the batch with these images was made: image 4, image 5" in told
    assert "test_workers.py" in told or count == 0, "the worker's own traceback"


def test_a_worker_that_is_killed_while_a_step_runs_is_named_too() -> None:
    """The signal of its death interrupts whatever the main process does, outside of the iterator."""

    def train() -> None:
        crew = Crew(Troubled(), [[i] for i in range(8)], 1)
        for _ in crew.batches():
            threading.Timer(0.1, os.kill, (int(crew.seats[0, 0]), signal.SIGKILL)).start()
            time.sleep(60)

    began = time.monotonic()
    said = r"^worker 1 of 1 .* was killed \(SIGKILL\); .* has the images image \d\."
    with pytest.raises(DataError, match=said), naming_images():
        train()
    assert time.monotonic() - began < 50


def test_trainings_and_evaluations_name_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the loader alone: the verbs too."""

    class Killing(Playground):
        def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
            if index == 3 and get_worker_info() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().image(index, at_least=at_least)

    data, knowing = Killing(8, 64, 0, classes=CLASSES), small_fcos(3)
    knowing.classes = CLASSES
    said = rf"was killed \(SIGKILL\); .*{data.name(3)}"
    monkeypatch.setattr(detection, "draw_data", lambda *_: None)  # which takes a second
    with pytest.raises(DataError, match=said):
        baimu.train("small_fcos", Splits(data, data), out=tmp_path / "run", **{**QUICK, "workers": 1})
    with pytest.raises(DataError, match=said):
        baimu.eval(knowing, data, workers=1, batch_size=4)


def orphan(told: Path) -> None:
    """What a loading worker is before its first batch, in a process whose parent is killed meanwhile."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        time.sleep(0.01)
    told.write_text(f"{os.getpid()} has no parent")
    workers.leave_with_parent(0)
    told.write_text(f"{os.getpid()} stays")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at a process that is nobody's child")
def test_a_worker_whose_parent_was_killed_before_it_began_ends(tmp_path: Path) -> None:
    told, started = tmp_path / "told", multiprocessing.get_context("fork")
    middle = os.fork()
    if middle == 0:
        started.Process(target=orphan, args=(told,)).start()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(middle, 0)
    until = time.monotonic() + 60
    while not (told.exists() and told.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    process = Path("/proc") / told.read_text().split()[0]
    while process.exists() and " Z " not in (process / "stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert told.read_text().endswith("has no parent")
