"""Pickles put together from single instructions, their containers, and a watch over what reading them does."""

from __future__ import annotations

import io
import pickle as op
import struct
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROTO = b"\x80\x02"


class Op(bytes):
    """Instructions that leave one object on the stack."""


def raw(*parts: bytes) -> Op:
    return Op(b"".join(parts))


def name(module: str, attribute: str) -> Op:
    return Op(f"c{module}\n{attribute}\n".encode())


def stack_name(module: Any, attribute: Any) -> Op:
    return raw(of(module), of(attribute), op.STACK_GLOBAL)


def of(value: Any) -> Op:
    """Instructions for a plain value whose leaves may be instructions themselves."""
    if isinstance(value, Op):
        return value
    if value is None or isinstance(value, bool):
        return Op({None: op.NONE, True: op.NEWTRUE, False: op.NEWFALSE}[value])
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return Op(op.BININT + struct.pack("<i", value))
        data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
        return Op(op.LONG1 + bytes([len(data)]) + data)
    if isinstance(value, float):
        return Op(op.BINFLOAT + struct.pack(">d", value))
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return Op(op.BINUNICODE + struct.pack("<I", len(data)) + data)
    if isinstance(value, bytes):
        return Op(op.BINBYTES + struct.pack("<I", len(value)) + value)
    if isinstance(value, tuple):
        return raw(op.MARK, *map(of, value), op.TUPLE)
    if isinstance(value, list):
        return raw(op.EMPTY_LIST, op.MARK, *map(of, value), op.APPENDS)
    assert isinstance(value, dict)
    return raw(op.EMPTY_DICT, op.MARK, *(of(item) for pair in value.items() for item in pair), op.SETITEMS)


def call(function: Op, *arguments: Any) -> Op:
    return raw(function, of(arguments), op.REDUCE)


def build(target: Op, state: Any) -> Op:
    return raw(target, of(state), op.BUILD)


def pickled(value: Any) -> bytes:
    return PROTO + of(value) + op.STOP


# PyTorch's and NumPy's objects --------------------------------------------------------------------------------------


def storage(key: Any = "0", count: Any = 4, kind: str = "FloatStorage", *view: Any) -> Op:
    return raw(of(("storage", name("torch", kind), key, "cpu", count, *view)), op.BINPERSID)


def tensor(place: Any = None, offset: Any = 0, shape: Any = (4,), stride: Any = (1,), *rest: Any) -> Op:
    place = storage() if place is None else place
    rest = rest or (False, call(name("collections", "OrderedDict")))
    return call(name("torch._utils", "_rebuild_tensor_v2"), place, offset, shape, stride, *rest)


def dtype(code: Any = "f4", state: Any = (3, "<", None, None, None, -1, -1, 0)) -> Op:
    made = call(name("numpy", "dtype"), code, False, True)
    return build(made, state) if state else made


def array(state: Any = None, kind: Op | None = None) -> Op:
    empty = call(name("numpy.core.multiarray", "_reconstruct"), kind or name("numpy", "ndarray"), (0,), b"b")
    return build(empty, state or (1, (4,), dtype(), False, bytes(16)))


# Containers ---------------------------------------------------------------------------------------------------------

SIXTEEN = struct.pack("<4f", 1, 2, 3, 4)


def plain(value: Any) -> bytes:
    return pickled(value)


def zipped(value: Any, storages: dict[str, bytes] | None = None, **more: bytes) -> bytes:
    """A file of torch.save that describes ``value``, with one storage of four floats."""
    members = {"data.pkl": value if isinstance(value, bytes) and not isinstance(value, Op) else pickled(value)}
    members |= {f"data/{key}": data for key, data in ({"0": SIXTEEN} if storages is None else storages).items()}
    return archive([(f"archive/{n}", data) for n, data in (members | {"version": b"3\n"} | more).items()])


def archive(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for member, data in members:
            file.writestr(zipfile.ZipInfo(member), data, compression)
    return buffer.getvalue()


MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def legacy(value: Any, storages: dict[str, bytes] | None = None, keys: Any = None, item: int = 4) -> bytes:
    """A file of torch.save as before PyTorch 1.6, where an identity has one more entry: the view, here none."""
    storages = {"0": SIXTEEN} if storages is None else storages
    head = [pickled(part) for part in (MAGIC, 1001, MACHINE, value, list(storages) if keys is None else keys)]
    head[3] = head[3].replace(op.TUPLE + op.BINPERSID, op.NONE + op.TUPLE + op.BINPERSID)
    return b"".join(head) + b"".join(struct.pack("<q", len(d) // item) + d for d in storages.values())


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


# The watch ----------------------------------------------------------------------------------------------------------

_seen: list[str] | None = None
_HARMLESS = {"object.__getattr__", "object.__setattr__", "os.listdir", "os.scandir"}


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None or event in _HARMLESS:
        return
    if event == "open" and (arguments[1] in (None, "r", "rb") and not arguments[2] & 0b11):  # O_RDONLY
        return
    _seen.append(f"{event}{arguments!r}"[:200])


_hooked = False


@contextmanager
def watched(size: int = 0, *, seconds: float = 3.0) -> Iterator[None]:
    """Fails if what runs inside does anything but read, in a moment and in memory of the order of ``size`` bytes.

    Every audit event counts: imports, files opened for writing, processes, sockets, ``pickle.find_class``, ``exec``.
    """
    global _seen, _hooked
    if not _hooked:
        sys.addaudithook(_hook)  # for the rest of the process, but silent outside of this function
        _hooked = True
    before = set(sys.modules)
    _seen = events = []
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
    finally:
        spent = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        _seen = None
    assert not events, events
    assert set(sys.modules) == before
    assert spent < seconds, f"took {spent:.1f} s"
    assert peak < (32 << 20) + 40 * size, f"took {peak >> 20} MiB for a file of {size} bytes"
