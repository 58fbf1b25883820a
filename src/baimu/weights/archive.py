"""One file of tensors and JSON that is either whole or not there: safetensors with a checksum, written atomically.

The file is an ordinary safetensors file (8 bytes with the header's length, the header, the tensors' bytes). Its
``__metadata__`` holds two entries: ``baimu``, a JSON document, and ``sha256`` over the rest of the header and all
tensor bytes. Nothing but safetensors is ever read, so that opening a file runs no code from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from baimu.errors import CheckpointError

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_BLOCK = 1 << 20
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def write_archive(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write ``tensors`` and a JSON ``document`` to ``path``, replacing the file there in one instant.

    The bytes go to a hidden file beside it, to the disk, and then take the name. Killed at any moment, the old file
    is whole; after a failure (a full disk) the hidden file is removed and :class:`CheckpointError` tells the mend.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            for block in _blocks(tensors, document):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        kept = "the checkpoint written before is intact" if path.exists() else "no checkpoint was there before"
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); {kept}. "
            f"Free space in {path.parent} or make it writable, then continue with resume=True"
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_document(path: Path) -> dict[str, Any]:
    """The JSON document of the archive at ``path``, its checksum not yet verified."""
    with _open(path) as file:
        return json.loads(_header(path, file)["__metadata__"]["baimu"])


def read_archive(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of the archive at ``path``, after its checksum has proved right.

    Raises :class:`CheckpointError` if the file is absent, cut short, changed, or no baimu checkpoint.
    """
    with _open(path) as file:
        header = _header(path, file)
        stated = header["__metadata__"].pop("sha256", None)
        digest = hashlib.sha256(_canonical(header))
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != stated:
        raise CheckpointError(f"{path}: damaged (its checksum does not fit its content); use another checkpoint")
    try:
        return load_file(path), json.loads(header["__metadata__"]["baimu"])
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({error}); use another checkpoint") from None


def _blocks(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """The bytes of the file in order. Tensors come to the host one at a time, so memory does not double."""
    header: dict[str, Any] = {"__metadata__": {"baimu": json.dumps(document)}}
    place = 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].element_size(), n)):  # the widest first keeps all aligned
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    names = list(header)[1:]
    digest = hashlib.sha256(_canonical(header))
    for name in names:
        digest.update(_bytes_of(tensors[name]))
    header["__metadata__"]["sha256"] = digest.hexdigest()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        yield _bytes_of(tensors[name])


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _canonical(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True).encode()


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); give a .safetensors file or a run folder"
        ) from None


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The parsed header; ``file`` then stands at the first tensor byte."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _LONGEST_HEADER:
        raise CheckpointError(f"{path}: not a safetensors file; only checkpoints written by baimu are read")
    text = file.read(length)
    try:
        header = json.loads(text)
        json.loads(header["__metadata__"]["baimu"])
        return header
    except (ValueError, TypeError, KeyError):
        why = "damaged (cut short)" if len(text) < length else "a safetensors file without baimu's description"
        raise CheckpointError(f"{path}: {why}; use a checkpoint written by baimu.train") from None


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; Windows has no such call and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
