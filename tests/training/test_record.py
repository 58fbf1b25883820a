"""results.csv, its repair after a crash, and what is shown on a screen."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from rich.console import Console

from baimu.errors import TrainingError
from baimu.training import results_csv
from baimu.training.loop import Place
from baimu.training.progress import Progress
from baimu.training.record import Record
from baimu.training.results_csv import ResultsFile, read_results

ROWS = [{"epoch": 1, "step": i, "cls": i / 3, "loss": i / 3, "lr": 0.1, "seconds": float(i)} for i in range(1, 5)]


def filled(path: Path) -> ResultsFile:
    results = ResultsFile(path, ["ap"])
    for row in ROWS:
        results.append(row)
    return results


def test_rows_come_back_exactly_and_scores_only_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    filled(path).append({**ROWS[0], "ap": 0.25})
    assert read_results(path) == [*ROWS, {**ROWS[0], "ap": 0.25}]
    assert path.read_text().splitlines()[0] == "epoch,step,cls,loss,lr,ap,seconds"


@pytest.mark.parametrize("torn", ["", "1,5,0.33", "1,5,0.3,0.3,0.1,,5.0\n1,6"])
@pytest.mark.parametrize("kept", [0, 2, 4])
def test_rows_after_a_checkpoint_are_dropped_torn_ones_too(tmp_path: Path, torn: str, kept: int) -> None:
    path = tmp_path / "results.csv"
    filled(path)
    with open(path, "a") as file:
        file.write(torn)
    results = ResultsFile(path, ["ap"])
    results.keep(kept)
    assert read_results(path) == ROWS[:kept]
    results.append({**ROWS[3], "ap": 1.0})
    assert read_results(path) == [*ROWS[:kept], {**ROWS[3], "ap": 1.0}]
    assert results.sync() == kept + 1
    assert os.listdir(tmp_path) == ["results.csv"]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = filled(tmp_path / "results.csv")

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(results_csv, "open", full, raising=False)
    with pytest.raises(TrainingError, match=r"results\.csv: cannot be written \(No space left.*resume=True"):
        results.append(ROWS[0])


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, seconds: float = 20.0) -> tuple[Progress, Console]:
    console = Console(force_terminal=terminal, width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    progress = Progress(3, 10, "ap")
    monkeypatch.setattr(progress, "_console", console)
    monkeypatch.setattr(progress, "_printed", progress._printed - seconds)
    return progress, console


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_tells_all(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    progress, console = shown(monkeypatch, terminal=terminal)
    with progress:
        progress.row({**ROWS[0], "ap": 0.125, "seconds": 3725.0}, shown=("cls", "loss"))
        for batch in range(1, 4):
            monkeypatch.setattr(progress, "_printed", 0.0)
            progress.step(Place(1, batch, 10 + batch), lr=0.01)
        if progress._live is not None:
            console.print(progress._live.renderable)
    text = console.export_text()
    assert "epoch 1/3  ap 0.125  cls 0.333  loss 0.333  1:02:05" in text
    for part in ("epoch 2/3", "step 3/10", "it/s", "ETA 0:00", "GB", "cls 0.333", "lr 1.00e-02", "ap 0.125"):
        assert part in text


def test_a_quiet_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, console = shown(monkeypatch, terminal=True)
    progress.quiet = True
    with progress:
        progress.note("hello")
        progress.row({**ROWS[0], "ap": 0.1}, shown=("cls",))
        progress.step(Place(0, 1, 1), lr=0.1)
    assert console.export_text() == ""


def test_rows_are_means_over_their_windows(tmp_path: Path) -> None:
    results = ResultsFile(tmp_path / "results.csv", ["ap"])
    record = Record(results, "ap", 20, Progress(1, 20, "ap", quiet=True), Accelerator())
    for step in range(1, 21):
        record.add({"a": torch.tensor(float(step)), "b": torch.tensor(1.0)}, Place(0, step, step), lr=step / 10)
    assert record.close_epoch(Place(1, 0, 20), {"ap": 0.5})
    rows = read_results(tmp_path / "results.csv")
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20]
    assert [row["a"] for row in rows] == [2.5, 6.5, 10.5, 14.5, 18.5]
    assert [row["loss"] - row["a"] for row in rows] == [1.0] * 5
    assert [row["lr"] for row in rows] == [0.4, 0.8, 1.2, 1.6, 2.0]
    assert [row.get("ap") for row in rows] == [None] * 4 + [0.5]
