"""PyTorch's files without ``torch.load``: the zip archive of today, the row of pickles of old, and bare pickles."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, BinaryIO

import torch

from baimu.weights.header import read_bytes
from baimu.weights.inert import Storage, StorageType
from baimu.weights.pickled import interpret
from baimu.weights.refusal import Refused

Reader = Callable[[Storage], bytearray]
"""Gives the bytes of a storage, as many as it states."""

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_BLOCK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    EOFError,
)


def read_zip(file: BinaryIO, size: int) -> tuple[Any, Reader]:
    """The description of what ``torch.save`` wrote, and a reader for its storages while ``file`` is open."""
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except (*_BROKEN, OSError):
        raise Refused("damaged (a zip archive cut short: its list of contents is missing); download it again") from None
    by_name = {member.filename: member for member in members}
    prefix = _prefix(by_name)
    _check_members(members, size)
    for member in members:
        if not member.CRC:  # PyTorch can leave checksums out; without one zipfile compares none
            del member.CRC

    def content(name: str) -> bytearray:
        try:
            return _content(archive, by_name[f"{prefix}/{name}"])
        except KeyError:
            raise Refused(f"damaged (it lacks its part {name!r:.60}); download or copy it again") from None
        except _BROKEN:
            raise Refused(f"damaged (its part {name!r:.60} is not what was saved); download or copy it again") from None

    if f"{prefix}/byteorder" in by_name and content("byteorder") != b"little":
        raise Refused("was written on a big-endian machine; load it there and save it as safetensors")

    def reader(storage: Storage) -> bytearray:
        data = content(f"data/{storage.key}")
        if len(data) != storage.size:
            raise Refused(f"damaged (storage {storage.key!r:.40} has {len(data)} bytes, {storage.size} are stated)")
        return data

    return _whole(content("data.pkl"), lambda identity: _storage(identity, 5)), reader


def read_pickle(file: BinaryIO, size: int) -> tuple[Any, Reader | None]:
    """The description of a pickle; with a reader if it begins a file that ``torch.save`` wrote before PyTorch 1.6."""
    first = interpret(file, size)
    if type(first) is int and first == _MAGIC:
        return _read_legacy(file, size)
    _at_end(file, size)
    return first, None


def _read_legacy(file: BinaryIO, size: int) -> tuple[Any, Reader]:
    """Behind the magic number: protocol, machine, object, keys of storages, and each storage behind its length."""
    if interpret(file, size) != _PROTOCOL:
        raise Refused("is a PyTorch file of a protocol that is not known; save it again with a PyTorch of today")
    machine = interpret(file, size)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise Refused("was written on a big-endian machine; load it there and save it as safetensors")
    stated: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        storage = _storage(identity, 6)
        known = stated.setdefault(storage.key, storage)
        if (known.size, known.dtype) != (storage.size, storage.dtype):
            raise Refused(f"damaged (storage {storage.key!r:.40} has two lengths or types); use another file")
        return storage

    root = interpret(file, size, persistent)
    places = _places(file, size, interpret(file, size), stated)

    def reader(storage: Storage) -> bytearray:
        file.seek(places[storage.key])
        return read_bytes(file, storage.size)

    return root, reader


def _places(file: BinaryIO, size: int, keys: Any, stated: dict[str, Storage]) -> dict[str, int]:
    """Where each storage begins. They follow in the order of ``keys`` and must fill the file."""
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(stated):
        raise Refused("damaged (its list of storages is not that of its tensors); download it again")
    places: dict[str, int] = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")  # of elements
        places[key] = file.tell()
        length = stated[key].size
        if count * _item(stated[key].dtype) != length or length > size - places[key]:
            raise Refused("damaged (cut short, or a storage has another length); download or copy it again")
        file.seek(length, io.SEEK_CUR)
    _at_end(file, size)
    return places


def _storage(identity: Any, length: int) -> Storage:
    """A storage from its persistent id: ("storage", class, key, device, elements[, view])."""
    match identity:
        case ("storage", StorageType(dtype=dtype), str() as key, str(), int() as count, *view):
            if len(identity) != length or view not in ([], [None]):
                raise Refused("holds views of storages, as PyTorch wrote in 2017; load and save it with PyTorch 1")
            if 0 <= count < 1 << 60:
                return Storage(key, dtype, count * _item(dtype))
        case ("module", *_):
            raise Refused("is a whole pickled model; where it was written: torch.save(model.state_dict(), path)")
    raise Refused("damaged (it refers to something that is no storage); use another file")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytearray:
    """The bytes of a member; its checksum is compared with the last of them."""
    data = bytearray(member.file_size)
    with archive.open(member) as part:
        for start in range(0, len(data), _BLOCK):
            block = part.read(_BLOCK)
            data[start : start + len(block)] = block
    return data


def _item(dtype: torch.dtype | None) -> int:
    return dtype.itemsize if dtype else 1


def _whole(data: bytearray, persistent: Callable[[Any], Any]) -> Any:
    file = io.BytesIO(data)
    root = interpret(file, len(data), persistent)
    _at_end(file, len(data))
    return root


def _at_end(file: BinaryIO, size: int) -> None:
    if file.tell() != size:
        raise Refused(f"has {size - file.tell()} bytes behind its end, which no writer puts there; use another file")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what torch.save never writes, so that reading a member takes no more memory than its bytes here."""
    names = Counter(member.filename for member in members)
    if (twice := names.most_common(1)) and twice[0][1] > 1:
        raise Refused(f"has the part {twice[0][0]!r:.60} twice; use another file")
    for member in members:
        name = member.orig_filename
        if re.search(r"^/|^\w:|\\|\0|(^|/)\.\.(/|$)", name) or stat.S_ISLNK(member.external_attr >> 16):
            raise Refused(f"has a part that points elsewhere ({name!r:.60}); use another file")
        if member.flag_bits & 1:
            raise Refused("is an encrypted zip archive; unpack it and give the file inside")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise Refused(
                "is a compressed zip archive, which PyTorch does not write; if it was packed for transport, unpack it "
                f"(it holds {', '.join(list(names)[:3])[:120]})"
            )
    if sum(member.file_size for member in members) > size:
        raise Refused("has parts that overlap; use another file")


def _prefix(members: dict[str, zipfile.ZipInfo]) -> str:
    """The one folder of a file of torch.save; other zip archives are named for what they are."""
    pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
    top = {name.split("/")[0] for name in members}
    if any(re.fullmatch(r"[^/]+/(constants\.pkl|code/.*)", name) for name in members):
        raise Refused(
            "is a TorchScript archive, a program with its parameters; where it can be run: "
            "torch.save(torch.jit.load(path).state_dict(), 'weights.pt')"
        )
    if len(pickles) > 1:
        raise Refused(f"has several pickles ({', '.join(pickles[:3])[:120]}), but PyTorch writes one; use another file")
    if pickles and pickles[0].count("/") == 1 and len(top) == 1:
        return top.pop()
    if "model.weights.h5" in members:
        raise Refused("is a Keras file; only files of PyTorch parameters are read")
    if members and all(name.endswith(".npy") for name in members):
        raise Refused("is a NumPy archive; save its arrays with safetensors.numpy.save_file(dict, path)")
    held = ", ".join(list(members)[:3])[:120] or "nothing"
    raise Refused(f"is a zip archive of {held}; unpack it and give the file inside")
