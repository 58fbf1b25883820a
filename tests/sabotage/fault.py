"""What a fault is, and the library with one in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "src" / "baimu"


class Fault(NamedTuple):
    """In ``file``, below src/baimu, ``text``, which stands there once, becomes ``instead``. One of ``tests``, files or
    single tests, must then fail by an assertion."""

    name: str
    harm: str  # what a user would get of it
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """``source``, the content of ``file``, with the fault. Raises ``ValueError`` unless its text is there once."""
        times = source.count(self.text)
        if times != 1:
            raise ValueError(f"{self.name}: its text stands {times} times in {self.file}; write it anew: {self.text!r}")
        return source.replace(self.text, self.instead)


def copy_library(folder: Path, fault: Fault | None = None) -> Path:
    """The library in ``folder``, with the fault if there is one; PYTHONPATH names ``folder`` to have it imported."""
    shutil.copytree(LIBRARY, folder / "baimu")  # with its bytecode, whose sources keep their times
    if fault is not None:
        file = folder / "baimu" / fault.file
        file.write_text(fault.planted(file.read_text(encoding="utf-8")), encoding="utf-8")
    return folder
