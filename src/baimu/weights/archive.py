"""One file of tensors and JSON that is either whole or not there: safetensors with a checksum, written atomically.

The file is an ordinary safetensors file (8 bytes with the header's length, the header, the tensors' bytes). Its
``__metadata__`` holds two entries: ``baimu``, a JSON document, and ``sha256`` over the rest of the header and all
tensor bytes. Nothing but safetensors is ever read, so that opening a file runs no code from it, and its header is
checked as strictly as that of a stranger's file (:mod:`baimu.weights.header`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baimu.errors import CheckpointError
from baimu.weights.header import DTYPES, Header, as_tensor, read_bytes, read_header
from baimu.weights.refusal import Refused, form_of, opened

_CODES = {dtype: code for code, dtype in DTYPES.items()}


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


def is_archive(path: Path) -> bool:
    """Whether the file at ``path`` has the header of one that :func:`write_archive` wrote."""
    try:
        with opened(path) as (file, size):
            return form_of(file) == "safetensors" and "baimu" in read_header(file, size).metadata
    except CheckpointError:
        return False


def read_document(path: Path) -> dict[str, Any]:
    """The JSON document of the archive at ``path``, its checksum not yet verified."""
    with opened(path) as (file, size):
        return _document(read_header(file, size))


def read_archive(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of the archive at ``path``, after its checksum has proved right.

    Raises :class:`CheckpointError` if the file is absent, cut short, changed, or no baimu checkpoint.
    """
    with opened(path) as (file, size):
        header = read_header(file, size)
        document = _document(header)
        stated = header.metadata.pop("sha256", None)  # out of the document too, whose part it is
        digest = hashlib.sha256(_canonical(header.document))
        tensors: dict[str, Tensor] = {}
        for entry in header.entries:
            data = read_bytes(file, entry.end - entry.begin)
            digest.update(data)
            tensors[entry.name] = as_tensor(data, entry.dtype, entry.shape)
        if digest.hexdigest() != stated:
            raise Refused("damaged (its checksum does not fit its content); use another checkpoint")
    return tensors, document


def _blocks(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """The bytes of the file in order. Tensors come to the host one at a time, so memory does not double."""
    header: dict[str, Any] = {"__metadata__": {"baimu": json.dumps(document)}}
    place = 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].element_size(), n)):  # the widest first keeps all aligned
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
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


def _document(header: Header) -> dict[str, Any]:
    try:
        document = json.loads(header.metadata["baimu"])
    except (KeyError, ValueError, RecursionError):
        document = None
    if type(document) is not dict:
        raise Refused("a safetensors file without baimu's description; use a checkpoint written by baimu.train")
    return document


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; Windows has no such call and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
