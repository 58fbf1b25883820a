"""A disk that is full, read-only or broken from any write on: what was saved stays, an error names file and mend."""

from __future__ import annotations

import errno
import os
import resource
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import baimu
from baimu.cli.main import app
from baimu.errors import BaimuError, TrainingError, writing
from baimu.training.run import MEND
from baimu.weights.archive import read_archive
from tests.faults.disk import Disk, failing
from tests.training.small import QUICK, small_data
from tests.training.small import small_fcos as small_fcos  # a name of the catalogue
from tests.training.test_resume import assert_equal_runs
from tests.training.tiny import run, start

CODES = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO)
Trained = tuple[Path, list[str]]
SHORT: dict[str, Any] = {"epochs": 1, "save_every": 4, "ema_decay": 0.0}


def test_every_write_of_a_training(tmp_path: Path) -> None:
    """The n-th and all after it, for every n: then the run is continued and ends as one that had no trouble."""
    whole = tmp_path / "whole"
    with failing(Disk(tmp_path)) as disk:
        run(whole, **SHORT)
    kinds = {call.split(" ")[0] for call in disk.calls}
    assert kinds == {"mkdir", "open", "write", "sync", "rename"}
    for good in range(1, len(disk.calls)):  # the first makes the folder
        folder = tmp_path / str(good)
        code = CODES[good % len(CODES)]
        with (
            failing(Disk(folder, good, code)),
            pytest.raises(BaimuError) as caught,
            writing(folder, MEND, TrainingError),  # as baimu.train does
        ):
            run(folder, **SHORT)
        assert str(caught.value).startswith(str(folder)), "the file"
        assert os.strerror(code) in str(caught.value)
        assert "continue with resume=True" in str(caught.value), "the mend"
        last = folder / "last.safetensors"
        if last.exists():
            read_archive(last)
        assert not list(folder.glob(".*")), "no hidden file is left"
        if good % 8 == 0:
            run(folder, resume=True, **SHORT)
            assert_equal_runs(whole, folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run, and all calls that wrote it."""
    folder = tmp_path_factory.mktemp("disk") / "run"
    with failing(Disk(folder.parent)) as disk:
        baimu.train("small_fcos", small_data(), out=folder, **{**QUICK, "epochs": 1})
    return folder, disk.calls


BEGINNING = ("recipe.yaml", "data.txt", "problems.txt", ".labels.part.png", "train_batches.png")
END = (".curves.part.png", ".pr_curves.part.png", ".confusion_matrix.part.png", "predictions.png", ".report.html.part")


def test_these_are_all_files(trained: Trained) -> None:
    folder, calls = trained
    opened = {call.split(" ")[1] for call in calls if call.startswith("open")} - {".writable"}
    assert opened == {*BEGINNING, *END, "results.csv", ".last.safetensors.part", ".best.safetensors.part"}
    assert {path.name for path in folder.iterdir()} <= {
        name.removeprefix(".").removesuffix(".part").replace(".part.", ".") for name in opened
    }


@pytest.mark.parametrize("name", BEGINNING)
def test_a_file_at_the_beginning(tmp_path: Path, trained: Trained, name: str) -> None:
    good = next(i for i, call in enumerate(trained[1]) if call.endswith(name))
    refuses(tmp_path / "run", good, lambda: train(tmp_path / "run"))


@pytest.fixture(scope="module")
def ending(trained: Trained) -> list[str]:
    """All calls of continuing the run: it is finished, so that its pictures are drawn again, and nothing else."""
    with failing(Disk(trained[0].parent)) as disk:
        train(trained[0], resume=True)
    return disk.calls


@pytest.mark.parametrize("name", END)
def test_a_file_at_the_end(trained: Trained, ending: list[str], name: str) -> None:
    folder = trained[0]
    before = [(folder / file).read_bytes() for file in ("last.safetensors", "best.safetensors")]
    refuses(folder, ending.index(f"open {name}"), lambda: train(folder, resume=True))
    assert before == [(folder / file).read_bytes() for file in ("last.safetensors", "best.safetensors")]


def train(folder: Path, *, resume: bool = False) -> None:
    baimu.train("small_fcos", small_data(), out=folder, resume=resume, **{**QUICK, "epochs": 1})


def refuses(folder: Path, good: int, work: Callable[[], None]) -> None:
    with (
        failing(Disk(folder.parent, good, errno.ENOSPC)),
        pytest.raises(TrainingError, match=rf"^{folder}.*No space left on device.*continue with resume=True"),
    ):
        work()


def test_a_write_that_names_no_file_and_one_elsewhere() -> None:
    with pytest.raises(TrainingError, match=r"^runs/mine: cannot be written \(No space left on device\); mend$"):
        within(OSError(errno.ENOSPC, "No space left on device"))
    for other in (FileNotFoundError(errno.ENOENT, "absent", "/data/a.jpg"), ConnectionResetError(errno.ECONNRESET, "")):
        with pytest.raises(type(other)):
            within(other)


def within(error: OSError) -> None:
    with writing(Path("runs/mine"), "mend", TrainingError):
        raise error


def limited(work: Callable[[], int]) -> int:
    """What ``work`` returns in a process whose files may not grow beyond 4 KiB, which no C++ can go around. Torch's
    own writers end such a process."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_export(tmp_path: Path, trained: Trained) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"what was there before")

    def work() -> int:
        warnings.simplefilter("ignore")
        try:
            baimu.export(str(trained[0]), format="torch", path=path)
        except BaimuError as error:
            (tmp_path / "said").write_text(str(error))
            return 2
        return 0

    assert limited(work) == 2
    assert "File too large" in (tmp_path / "said").read_text()
    assert path.read_bytes() == b"what was there before"
    assert {p.name for p in tmp_path.iterdir()} == {path.name, "said"}


@pytest.mark.parametrize("into", [(), ("--json", "found.json"), ("--csv", "found.csv")])
def test_predictions_on_the_command_line(tmp_path: Path, trained: Trained, into: tuple[str, ...]) -> None:
    """At every write; nothing is said to be written that is not."""
    words = ["predict", str(trained[0]), str(trained[0] / "predictions.png"), "--out", str(tmp_path / "found")]
    words += [word if word.startswith("--") else str(tmp_path / word) for word in into]
    with failing(Disk(tmp_path)) as disk:
        assert CliRunner().invoke(app, words).exit_code == 0
    assert disk.calls
    for good in range(len(disk.calls)):
        with failing(Disk(tmp_path, good, CODES[good % len(CODES)])):
            done = CliRunner().invoke(app, words)
        assert done.exit_code != 0, disk.calls[good]
        assert os.strerror(CODES[good % len(CODES)]) in done.output, disk.calls[good]
        assert "Traceback" not in done.output


def test_a_training_on_the_command_line(tmp_path: Path) -> None:
    words = ["train", "small_fcos", "--data", "playground:train=4,val=2,size=64", "--out", str(tmp_path / "run")]
    with failing(Disk(tmp_path, 8, errno.ENOSPC)):
        done = CliRunner().invoke(app, [*words, "epochs=1", "batch_size=2", "workers=0"])
    assert done.exit_code == 2
    assert "No space left on device" in done.output
    assert "resume=True" in done.output


def test_the_disk_of_these_tests_fails_from_the_call_it_was_told(tmp_path: Path) -> None:
    """Else nothing above would mean anything."""
    folder = tmp_path / "run"
    with failing(Disk(folder, 2, errno.ENOSPC)) as disk, pytest.raises(BaimuError):
        start(folder, epochs=1).record.results.append({"epoch": 1, "step": 1, "seconds": 1.0})
    assert len(disk.calls) == 3
