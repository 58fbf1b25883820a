"""An export that fails leaves nothing, and says why."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from baimu.errors import OF_DISKS, BaimuError, writing


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place for a file of that name in a folder of its own, on the same disk, which is gone afterwards. Where the
    disk is full or may not be written, a :class:`~baimu.errors.BaimuError` says so."""
    with writing(path.parent, "nothing of it is kept. Free space there or choose another path"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".baimu-") as folder:
            made = Path(folder) / "done" / path.name
            made.parent.mkdir()
            yield made


@contextlib.contextmanager
def failing_in_words(what: str) -> Iterator[None]:
    """Whatever an exporter raises, for they have no common class, as ``what`` and its last line."""
    try:
        yield
    except BaimuError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_DISKS:
            raise
        said = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise BaimuError(f"{what}: {said}") from error
