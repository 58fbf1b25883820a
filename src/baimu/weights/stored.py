"""Reading the parameters that others stored, whatever wrote the file, and nothing but data.

Safetensors, files of ``torch.save`` (zip and the older form) and bare pickles of arrays (detectron2) are told apart by
their content, never by their name. No unpickler runs, neither Python's nor PyTorch's: see
:mod:`baimu.weights.pickled`. There is no option to do otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from baimu.weights.header import as_tensor, read_bytes, read_header
from baimu.weights.inert import Placed
from baimu.weights.refusal import Refused, form_of, opened
from baimu.weights.torch_file import Reader, read_pickle, read_zip
from baimu.weights.unwrap import Leaf, state_of, without_prefix


class Stored(NamedTuple):
    """A flat state dict and what was found beside it.

    ``tensors``: on the CPU, with types, strides and sharing as stored. ``about``: plain values (None, bool, int, float,
    str, lists and dictionaries of them); what is not plain is described by its name in angle brackets, and so are
    other dictionaries of tensors, which ``read_stored(path, part=…)`` reads. ``kind``: ``"safetensors"``, ``"torch"``
    or ``"pickle"``.
    """

    tensors: dict[str, Tensor]
    about: dict[str, Any]
    kind: str
    path: Path


def read_stored(path: str | Path, *, part: str | None = None) -> Stored:
    """The tensors of the file at ``path``, out of whatever its writer wrapped around them.

    Where there are several dictionaries of tensors, a moving average comes before what it averages and a generator
    before its discriminator; ``part`` names another one (``"params"``, ``"model.discriminator"``). The prefixes of
    DataParallel and torch.compile are taken off. A tensor on a GPU comes to the CPU; hooks, ``requires_grad`` and
    attributes are left out.

    Raises :class:`~baimu.errors.CheckpointError` with the mend for a file that is absent, damaged, of another kind, or
    contains anything but data. Memory: at most a small multiple of the file's size.
    """
    path = Path(path)
    with opened(path) as (file, size):
        form = form_of(file)
        if path.suffix.lower() == ".safetensors" and form != "safetensors":
            raise Refused(
                f"is named .safetensors but is a {'zip archive' if form == 'zip' else 'pickle'}; "
                "if you know where it is from, give it its true ending (.pth)"
            )
        if form == "safetensors":
            return _from_safetensors(path, file, size, part)
        root, reader = (read_zip if form == "zip" else read_pickle)(file, size)
        leaves, about = state_of(root, part)
        tensors = _tensors(leaves, reader, size)
    return Stored(tensors, about, "torch" if reader else "pickle", path)


def _from_safetensors(path: Path, file: BinaryIO, size: int, part: str | None) -> Stored:
    if part is not None:
        raise Refused(f"is a safetensors file, which has no parts such as {part!r}; leave part= out")
    header = read_header(file, size)
    tensors = {e.name: as_tensor(read_bytes(file, e.end - e.begin), e.dtype, e.shape) for e in header.entries}
    if not tensors:
        raise Refused("holds no tensors; use another file")
    return Stored(without_prefix(tensors), dict(header.metadata), "safetensors", path)


def _tensors(leaves: dict[str, Leaf], reader: Reader | None, size: int) -> dict[str, Tensor]:
    """Read the storages that ``leaves`` need, each once, so that shared ones stay shared and no other takes memory."""
    storages: dict[str, bytearray] = {}
    copied = 0
    tensors: dict[str, Tensor] = {}
    for name, leaf in leaves.items():
        if isinstance(leaf, Placed):
            if reader is None or leaf.size > size:
                raise Refused(f"states a tensor larger than itself ({name!r:.80}); use another file")
            if leaf.storage.key not in storages:
                storages[leaf.storage.key] = reader(leaf.storage)
            tensors[name] = leaf.of(storages[leaf.storage.key])
        else:
            copied += len(leaf.data)
            if copied > size:
                raise Refused("states more arrays than it holds; use another file")
            tensors[name] = torch.from_numpy(leaf.values())
    return tensors
