"""A model's own files as bytes, for machines that do not see the folder it lies in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from baimu.weights.cache import cache_folder
from baimu.weights.catalog import is_tag, resolve
from baimu.weights.checkpoint import checkpoint_path

BESIDE = {".xml": (".bin",), ".onnx": (".onnx.data",)}
"""Suffixes of the files that belong to a file, in the place of its own."""


class Shipment(NamedTuple):
    """``name`` is what to load once ``files`` (path and bytes) lie in a folder: a tag, or a path below it."""

    name: str
    files: dict[str, bytes]
    is_tag: bool

    @property
    def sha256(self) -> str:
        """Of all files and their names."""
        digest = hashlib.sha256()
        for path, data in sorted(self.files.items()):
            digest.update(f"{path}\n{len(data)}\n".encode())
            digest.update(data)
        return digest.hexdigest()

    def unpack(self, folder: Path) -> str:
        """What to load. A tag's file goes into a cache in ``folder``, which is this process's from now on."""
        for path, data in self.files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        if self.is_tag:
            os.environ["BAIMU_CACHE"] = str(folder)
            return self.name
        return str(folder / self.name)


def pack(model: str | Path) -> Shipment:
    """The files of a checkpoint, of the best of a run folder, of an exported model or of published weights, which are
    fetched if they are not in the cache."""
    if not Path(model).exists() and is_tag(str(model)):
        file = resolve(str(model))
        return Shipment(str(model), {file.relative_to(cache_folder()).as_posix(): file.read_bytes()}, True)
    file = checkpoint_path(model)
    beside = (file.with_suffix(suffix) for suffix in BESIDE.get(file.suffix, ()))
    return Shipment(file.name, {f.name: f.read_bytes() for f in (file, *beside) if f.exists()}, False)
