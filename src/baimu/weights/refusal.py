"""Opening files of others: what is not read, what it is instead, and what the user can do about it."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

from baimu.errors import CheckpointError

_FIRST = 1 << 16  # bytes looked at to tell what a file is


class Refused(Exception):
    """Why a file is not read and the mend, without the file's name: :func:`opened` adds that."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The regular file at ``path`` and its size in bytes. What is refused inside becomes :class:`CheckpointError`."""
    try:
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            raise Refused("cannot be read (not a regular file); copy its content to a file")
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except Refused as refused:
        raise CheckpointError(f"{path}: {refused}") from None
    except OSError as error:
        mend = "give the file itself" if path.is_dir() else "check the path and the permissions"
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}{_inside(path)}); {mend}") from None
    except ValueError as error:
        if "null byte" not in str(error):  # all that open() itself can mean by a ValueError
            raise
        raise CheckpointError(f"{str(path)!r}: cannot be read (no such path)") from None
    except MemoryError:
        raise CheckpointError(f"{path}: does not fit into memory; use a larger machine") from None


def form_of(file: BinaryIO) -> str:
    """``"safetensors"``, ``"zip"`` or ``"pickle"``; :class:`Refused`, with what it is instead, for anything else."""
    file.seek(0)
    first = file.read(_FIRST)
    file.seek(0)
    if first.startswith(b"PK\x03\x04"):
        return "zip"
    brace = first[8:9] == b"{"
    if brace and first[4:8] == bytes(4):  # behind a length below 4 GiB; its lower bytes may look like anything
        return "safetensors"
    if first[:1] == b"\x80" and len(first) > 2 and first[1] <= 5:
        return "pickle"
    if brace and any(byte < 9 or byte > 126 for byte in first[:8]):  # a length, absurd as it is, and not text
        return "safetensors"
    _refuse(first)


_FORMS: tuple[tuple[bytes, str], ...] = (
    (rb"$", "is empty; download or copy it again"),
    (
        rb"version https://git-lfs",
        "is a git-lfs pointer, not the file that it points to; run `git lfs pull` where it was cloned",
    ),
    (
        rb"(?i:\s*<(!doctype|html|head|body|\?xml|!--))",
        "is a web page, so the link led to a page about the file, an error or a login; download the file itself",
    ),
    (rb"\x89HDF\r\n", "is an HDF5 file (Keras, or Caffe); only files of PyTorch parameters are read"),
    (rb"\x08[\x01-\x1f]\x12.[ -~]", "is an ONNX graph; give the PyTorch file that it was exported from"),
    (rb"....TFL3", "is a TensorFlow Lite graph; only files of PyTorch parameters are read"),
    (rb"GGUF", "is a GGUF file; give the safetensors or PyTorch file that it was made from"),
    (rb"\x93NUMPY", "is one NumPy array; only files of named parameters are read"),
    (rb".{257}ustar", "is a tar archive; unpack it and give the file inside"),
    (rb"\x1f\x8b", "is compressed with gzip; unpack it (gunzip) and give the file inside"),
    (rb"BZh", "is compressed with bzip2; unpack it (bunzip2) and give the file inside"),
    (rb"\xfd7zXZ", "is compressed with xz; unpack it (unxz) and give the file inside"),
    (rb"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it (unzstd) and give the file inside"),
    (rb"7z\xbc\xaf|Rar!", "is a compressed archive; unpack it and give the file inside"),
    (rb"PK", "is an empty or split zip archive; download it again"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF", "is an image or a film; give a file of parameters"),
    (rb"%PDF", "is a PDF; give a file of parameters"),
    (rb"\x7fELF|MZ\x90", "is a program; give a file of parameters"),
    (
        rb"\(?[dl]p?\d*\n|c[\w.]+\n|\(i\w|[\]}][q(r]",
        "is a pickle of protocol 0 or 1, which is not read; save it again with protocol 2 or later",
    ),
)


def _refuse(first: bytes) -> NoReturn:
    for pattern, words in _FORMS:
        if re.match(pattern, first, re.DOTALL):
            raise Refused(words)
    if first[:1] in b"{[":
        _refuse_json(first)
    if not re.search(rb"[^\t\n\r\x1b -~\x80-\xff]", first):
        line = first.decode("utf-8", "replace").strip().split("\n")[0][:60]
        raise Refused(f"is plain text ({line!r}); give a file of parameters")
    raise Refused(
        f"is none of the files that are read (safetensors, PyTorch, detectron2); it begins with {first[:8].hex(' ')}. "
        "If it is one of them, it is damaged: download it again"
    )


def _refuse_json(first: bytes) -> NoReturn:
    if b'"weight_map"' in first:
        shards = sorted({m.decode() for m in re.findall(rb'"([\w.-]+\.(?:safetensors|bin))"', first)})
        raise Refused(
            f"is the index of a model in several files ({', '.join(shards[:3])}…); write it as one: "
            'model.save_pretrained(folder, max_shard_size="100GB")'
        )
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        raise Refused("begins like a JSON file; give a file of parameters") from None
    raise Refused("is a JSON file, perhaps a configuration; give the file of parameters beside it")


def _inside(path: Path) -> str:
    """What of the folder ``path`` may have been meant, for the message."""
    if not path.is_dir():
        return ""
    endings = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pkl")
    likely = sorted(p.name for p in path.iterdir() if p.suffix in endings)
    return f"; it holds {', '.join(likely[:4])}" if likely else ""
