"""The cache folder, hashes, and the lock: one at a time, and none is left behind by a process that died."""

from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from baimu.errors import CheckpointError
from baimu.weights import cache as module
from baimu.weights.cache import alone, cache_folder, digest, fits


def test_the_folder_is_the_users_choice_else_the_platforms(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BAIMU_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("BAIMU_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("BAIMU_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "baimu" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "baimu" / "weights"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "baimu" / "weights"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "baimu" / "weights"


def test_hashes_may_be_given_whole_or_by_their_beginning(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"weights")
    whole = hashlib.sha256(b"weights").hexdigest()
    assert digest(file) == whole
    assert fits(file, whole)
    assert fits(file, whole[:8])
    assert not fits(file, "0" * 8)


def test_one_thread_at_a_time(tmp_path: Path) -> None:
    inside, most, waited = [0], [0], []

    def enter() -> None:
        with alone(tmp_path / "a", waiting=lambda: waited.append(1)):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert waited
    assert list(tmp_path.iterdir()) == []


def test_different_files_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with alone(tmp_path / "a"), alone(tmp_path / "b"):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_lock_dies_with_its_holder_and_the_file_it_leaves_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "a"
    code = (
        "import time; from pathlib import Path; from baimu.weights.cache import alone\n"
        f"with alone(Path({str(path)!r})): print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        waited = []

        def waiting() -> None:
            if not waited:
                child.send_signal(signal.SIGKILL)
            waited.append(1)

        with alone(path, waiting=waiting):
            assert waited, "it was held until its holder died"
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_has_lost_its_name_is_worth_nothing(tmp_path: Path, monkeypatch) -> None:
    """The last holder deletes the file between our opening and our locking it: the next comer would lock another."""
    honest, locked = module._lock, []

    def late(file: int) -> None:
        honest(file)
        if not locked:
            (tmp_path / "a.lock").unlink()
        locked.append(file)

    monkeypatch.setattr(module, "_lock", late)
    with alone(tmp_path / "a"):
        assert len(locked) == 2
        assert (tmp_path / "a.lock").exists()


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), alone(tmp_path / "a"):
        raise RuntimeError
    with alone(tmp_path / "a", waiting=lambda: pytest.fail("still held")):
        pass


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch) -> None:
    def refuse(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module, "_lock", refuse)
    with (
        pytest.raises(CheckpointError, match=r"a\.lock: this file system has no locks .*BAIMU_CACHE"),
        alone(tmp_path / "a"),
    ):
        pass
