"""Trainings that are killed again and again, at random instants and inside saves, and must end as if they had not been.

    python -m tests.faults.kills --count 50

Everything is imported once; each training is a fork of this process, killed with SIGKILL and started again with
``resume=True``, some with a loading worker. Half of the instants are drawn from the length of a whole training,
drawing of pictures and writing of the report included; for the other half the hidden file of a save is waited for.
After each kill the checkpoint that is there must be whole. After some kills a training may finish, and its last and
best checkpoints are compared, bit for bit, with those of one that was never disturbed, and its results row by row.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import baimu
from baimu.training.results_csv import read_results
from baimu.weights.archive import read_archive
from tests.training.small import small_data, small_fcos

CHANGES: dict[str, Any] = {"epochs": 6, "batch_size": 4, "save_every": 1, "flip": 0.5, "mosaic": 0.5, "patience": None}
FILES = ("last.safetensors", "best.safetensors")
PER_TRAINING = 10
"""Kills that a training must live through before it may finish."""


def train(folder: Path, workers: int) -> None:
    """From the beginning, or from where the last one was killed; nobody reads what it says."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        baimu.train(small_fcos.__name__, small_data(), out=folder, resume=folder.exists(), workers=workers, **CHANGES)


def train_and_tell(folder: Path, told: Path) -> None:
    """Train, and write down what was imported for it."""
    before = set(sys.modules)
    train(folder, 0)
    told.write_text("\n".join(name for name in sys.modules if name not in before))


def started(work: Callable[[], None]) -> int:
    """The process id of a fork that does ``work`` and ends with 0, or with 1 after an error."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def finished(child: int) -> None:
    """Wait for a fork that nobody kills."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise SystemExit(f"a training that nobody disturbed ended with {code}")


def killed(child: int, waited_for: Callable[[], bool], rng: random.Random) -> bool:
    """Kill the fork when ``waited_for`` says so, up to two thousandths of a second later. False, if it had ended."""
    while not waited_for():
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
    time.sleep(rng.uniform(0, 0.002))
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def at_a_time(seconds: float) -> Callable[[], bool]:
    """True from so many seconds on."""
    ends = time.monotonic() + seconds

    def come() -> bool:
        time.sleep(0.001)
        return time.monotonic() > ends

    return come


def in_a_save(folder: Path, number: int) -> Callable[[], bool]:
    """True while the hidden file of the ``number``-th save from now on is there."""
    parts, seen, there = [folder / f".{name}.part" for name in FILES], 0, False

    def come() -> bool:
        nonlocal seen, there
        was, there = there, any(part.exists() for part in parts)
        seen += there and not was
        return there and seen >= number

    return come


def content(folder: Path) -> tuple[Any, ...]:
    """Everything that must be equal; seconds and the number of workers need not be."""
    tensors, documents = zip(*(read_archive(folder / name) for name in FILES), strict=True)
    for document in documents:
        document.get("record", {}).pop("seconds", None)
        document["recipe"].pop("workers")
    rows = [{k: repr(v) for k, v in row.items() if k != "seconds"} for row in read_results(folder / "results.csv")]
    return tensors, documents, rows


def equal(one: Path, other: Path) -> bool:
    """Whether two runs ended alike, to the last bit."""
    (tensors, *rest), (others, *others_rest) = content(one), content(other)
    return repr(rest) == repr(others_rest) and all(
        left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
        for left, right in zip(tensors, others, strict=True)
    )


def run(count: int, seed: int, root: Path) -> dict[str, Any]:
    """``count`` kills, and what became of the trainings."""
    rng, undisturbed = random.Random(seed), root / "undisturbed"
    finished(started(lambda: train_and_tell(undisturbed, root / "modules.txt")))
    for name in (root / "modules.txt").read_text().split():
        with contextlib.suppress(ImportError):  # some are not of files
            importlib.import_module(name)  # once, here; a training here would leave threads, which a fork may not have
    began = time.monotonic()
    finished(started(lambda: train(root / "again", 0)))
    length = time.monotonic() - began
    found = {"kills": 0, "inside_a_save": 0, "whole_checkpoints": 0, "trainings": 0, "equal": 0}
    while found["kills"] < count:
        folder, workers, left = root / str(found["trainings"]), found["trainings"] % 2, PER_TRAINING
        while left and found["kills"] < count:
            child = started(lambda: train(folder, workers))  # noqa: B023 - the fork happens now
            timed = (left + found["trainings"]) % 2
            instant = at_a_time(rng.uniform(0, length)) if timed else in_a_save(folder, rng.randint(1, 5))
            if not killed(child, instant, rng):
                break  # it was faster
            left -= 1
            found["kills"] += 1
            found["inside_a_save"] += any((folder / f".{name}.part").exists() for name in FILES)
            found["whole_checkpoints"] += whole(folder)
        finished(started(lambda: train(folder, 1 - workers)))  # noqa: B023
        found["trainings"] += 1
        found["equal"] += equal(undisturbed, folder)
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def whole(folder: Path) -> bool:
    """Whether every checkpoint under its name is whole; raises otherwise."""
    for name in FILES:
        if (folder / name).exists():
            read_archive(folder / name)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        found = run(options.count, options.seed, Path(root))
    print(json.dumps(found))
    sys.exit(found["equal"] != found["trainings"])


if __name__ == "__main__":
    main()
