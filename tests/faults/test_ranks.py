"""A process of several that dies or stops does not leave the others waiting, and what was saved is continued."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from baimu.training.loop import Training, fit
from baimu.training.saver import Saver
from tests.training.test_distributed import in_two_processes
from tests.training.tiny import assert_same, run, start, weights_of

STEP = 9


def dying(folder: Path, how: signal.Signals) -> None:
    """The second process ends in its ninth step; the first says how long it then waited."""

    def work(rank: int) -> None:
        training = start(folder, save_every=4)
        steps, began = training.task.steps, time.monotonic()

        def until(epoch: int, skip: int):
            nonlocal began
            for number, parts in enumerate(steps(epoch, skip)):
                if epoch * 6 + number + 1 == STEP:
                    began = time.monotonic()
                    if rank == 1:
                        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever runs the tests may have its own
                        os.kill(os.getpid(), how)
                yield parts

        training.task.steps = until
        try:
            fit(training)
        finally:
            (folder / f"waited-{rank}").write_text(str(time.monotonic() - began))

    in_two_processes(work, seconds=10)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_ends_the_other_and_the_run_is_continued(tmp_path: Path, how: signal.Signals) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with pytest.raises(AssertionError, match=rf"\[1, {-how}\] == \[0, 0\]"):
        dying(broken, how)
    assert float((broken / "waited-0").read_text()) < 60
    assert not (broken / "waited-1").exists(), "it was killed"
    in_two_processes(lambda rank: resumed(broken))
    in_two_processes(lambda rank: resumed(whole))
    assert_same(weights_of(whole), weights_of(broken))


def resumed(folder: Path) -> None:
    training: Training = run(folder, save_every=4, resume=True)
    assert training.place.step == 12
    assert isinstance(training.saver, Saver)
