"""The one folder that fetched weights lie in, the unfinished files in it, and the lock by which processes share one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from baimu.errors import CheckpointError

_POLL_SECONDS = 0.1


def cache_folder() -> Path:
    """``BAIMU_CACHE`` if it is set, else ``baimu/weights`` where the platform keeps what can be fetched again."""
    chosen = os.environ.get("BAIMU_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "baimu" / "weights"


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fits(path: Path, sha256: str) -> bool:
    """Whether the SHA-256 of a file is, or begins with, ``sha256``."""
    return digest(path).startswith(sha256)


class Part:
    """The unfinished file and what the server called it."""

    def __init__(self, path: Path) -> None:
        self.final = path
        self.path = path.with_name(f"{path.name}.part")
        self._stamp = path.with_name(f"{path.name}.part.stamp")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def stamp(self) -> str:
        """ETag or date of the file that the bytes are of; empty, if the server gave none."""
        try:
            return self._stamp.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def begin(self, stamp: str) -> None:
        """Forget what is here, and note whose bytes come next before the first of them is written."""
        self.clear()
        self._stamp.write_text(stamp, encoding="utf-8")

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self._stamp.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its name, after its bytes are on the disk: a power cut leaves the old state or the new one."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.final)
        self._stamp.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Only one process, and only one thread, is inside for a ``path``; the others wait and call ``waiting`` meanwhile.

    The lock is the operating system's, on ``<path>.lock``: it ends with the process that holds it, however that ends,
    so that none is ever left behind.
    """
    lock = path.with_name(f"{path.name}.lock")
    while (file := _try(lock)) is None:
        waiting()
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        # Before the lock is given back: afterwards the name may already belong to the next holder's file.
        with contextlib.suppress(OSError):  # Windows does not delete what is open; the empty file does no harm
            lock.unlink()
        os.close(file)


def _try(lock: Path) -> int | None:
    """The open lock file if nobody else has it."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(file)
        if os.path.samestat(os.fstat(file), os.stat(lock)):
            return file
    except FileNotFoundError:  # its last holder has deleted the name under us
        pass
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            os.close(file)
            raise CheckpointError(
                f"{lock}: this file system has no locks ({error.strerror}); set BAIMU_CACHE to a folder on a local disk"
            ) from None
    os.close(file)
    return None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
