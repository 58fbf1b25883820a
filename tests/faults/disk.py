"""A file system that fails: the n-th of the calls that write below a folder, and all after it, as on a full disk."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Disk:
    """Counts calls that open for writing, write, bring to the disk, rename and make folders below ``root``.

    ``good``: so many of them work; later ones raise ``code``, whatever they are of. Removing always works.
    """

    def __init__(self, root: Path, good: float = float("inf"), code: int = 0) -> None:
        self.root, self.good, self.code = str(root), good, code
        self.calls: list[str] = []  # of each its kind and the file's name
        self._held: set[int] = set()  # descriptors of files that were opened here

    def call(self, kind: str, name: Any) -> None:
        """One call on the file ``name``."""
        self.calls.append(f"{kind} {Path(name).name}")
        if len(self.calls) > self.good:
            # A failing write or fsync does not say of which file; what takes a name does.
            raise OSError(self.code, os.strerror(self.code), *([name] if kind in ("open", "rename", "mkdir") else []))

    def below(self, name: Any) -> bool:
        return isinstance(name, str | os.PathLike) and os.fspath(name).startswith(self.root)

    def hold(self, file: Any, name: Any) -> File:
        self._held.add(file.fileno())
        return File(self, file, name)

    def holds(self, descriptor: Any) -> bool:
        return isinstance(descriptor, int) and descriptor in self._held


class File:
    """An open file whose writes are counted."""

    def __init__(self, disk: Disk, file: Any, name: Any) -> None:
        self._disk, self._file, self._name = disk, file, name

    def write(self, data: Any) -> Any:
        self._disk.call("write", self._name)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Inside, Python's own calls go to ``disk`` first."""
    real = {"open": io.open, "fsync": os.fsync, "replace": os.replace, "rename": os.rename, "mkdir": os.mkdir}

    def opened(name: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not (disk.below(name) and set(mode) & set("wax+")):
            return real["open"](name, mode, *arguments, **options)
        disk.call("open", name)
        return disk.hold(real["open"](name, mode, *arguments, **options), name)

    def synced(descriptor: Any) -> None:
        disk.call("sync", "" if disk.holds(descriptor) else "folder")
        real["fsync"](descriptor)

    def named(kind: str, which: str) -> Callable[..., Any]:
        def call(name: Any, *arguments: Any, **options: Any) -> Any:
            if disk.below(name):
                disk.call(kind, name)
            return real[which](name, *arguments, **options)

        return call

    places = [(builtins, "open", opened), (io, "open", opened), (os, "fsync", synced)]
    places += [(os, "replace", named("rename", "replace")), (os, "rename", named("rename", "rename"))]
    places += [(os, "mkdir", named("mkdir", "mkdir"))]
    for owner, name, function in places:
        setattr(owner, name, function)
    try:
        yield disk
    finally:
        for owner, name, _ in places:
            setattr(owner, name, real[name])
