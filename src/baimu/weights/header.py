"""The header of a safetensors file, read so that nothing it claims is believed unproved.

The file is 8 bytes (the header's length, little endian), the header (a JSON object from names to type, shape and place)
and the tensors' bytes. Every type must be known, every shape fill its place, and the places must cover the bytes from
the first to the last, each once; memory is taken only for bytes that are there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from baimu.weights.refusal import Refused

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LONGEST = 1 << 24  # bytes of header: some hundred thousand tensors
_MOST_DIMENSIONS = 64


class Entry(NamedTuple):
    """One tensor of the file: its bytes are ``begin`` to ``end`` of what follows the header."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """The tensors in the order of their bytes, the file's remarks, and the JSON object as it stands."""

    entries: list[Entry]
    metadata: dict[str, str]
    document: dict[str, Any]


def read_header(file: BinaryIO, size: int) -> Header:
    """The proved header of a file of ``size`` bytes; ``file`` then stands at the first tensor byte.

    Raises :class:`~baimu.weights.refusal.Refused`.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _LONGEST:
        raise Refused(f"not a safetensors file (its header would be {length} bytes long)")
    if length > size - 8:
        raise Refused(f"damaged (cut short: {size} bytes, its header alone has {length}); download or copy it again")
    document = _parse(file.read(length))
    metadata = document.get("__metadata__", {})
    if type(metadata) is not dict or not all(type(v) is str for v in metadata.values()):
        raise Refused("damaged (its __metadata__ is not text by name); use another file")
    entries = sorted(
        (_entry(name, fields) for name, fields in document.items() if name != "__metadata__"),
        key=lambda entry: (entry.begin, entry.end),
    )
    place = 0
    for entry in entries:
        if entry.begin != place:
            fault = "overlap" if entry.begin < place else "leave a gap"
            raise Refused(f"damaged (the bytes of its tensors {fault} at {entry.name!r}); use another file")
        place = entry.end
    if place != size - 8 - length:
        raise Refused(
            f"damaged (cut short or too long: {size - 8 - length} bytes of tensors where its header states {place}); "
            "download or copy it again"
        )
    return Header(entries, metadata, document)


def read_bytes(file: BinaryIO, count: int) -> bytearray:
    """The next ``count`` bytes, which the caller has proved to be in the file."""
    data = bytearray(count)
    if file.readinto(data) != count:  # type: ignore[attr-defined]
        raise Refused("damaged (cut short while it was read); download or copy it again")
    return data


def as_tensor(data: bytearray, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """The contiguous tensor whose memory ``data`` is."""
    if not data:
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(tuple(shape))


def elements(shape: Sequence[int]) -> int:
    """The number of elements of ``shape``, which must be one that a tensor can have."""
    whole = all(type(n) is int and n >= 0 for n in shape) and len(shape) <= _MOST_DIMENSIONS
    if not whole or math.prod(n for n in shape if n) >= 1 << 60:
        raise Refused("damaged (a tensor's shape is impossible); use another file")
    return math.prod(shape)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused("not a safetensors file, or damaged (its header cannot be parsed); use another file") from None
    if type(document) is not dict:
        raise Refused("not a safetensors file, or damaged (its header is not an object); use another file")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("damaged (a name stands twice in its header); use another file")
    return found


def _entry(name: str, fields: Any) -> Entry:
    match fields:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [int(begin), int(end)], **others}:
            if others or code not in DTYPES:
                raise Refused(f"damaged or too new (the type of {name!r} is {code!r:.40}); save it as float32")
        case _:
            raise Refused(f"damaged ({name!r} lacks a type, a shape or a place); use another file")
    if type(begin) is not int or not 0 <= begin <= end or elements(shape) * DTYPES[code].itemsize != end - begin:
        raise Refused(f"damaged (shape and place of {name!r} do not fit); use another file")
    return Entry(name, DTYPES[code], tuple(shape), begin, end)
