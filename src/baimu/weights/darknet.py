"""Files of Darknet (``.weights``): a header and one run of float32, without names or shapes.

The header is little-endian: major, minor and revision (int32), then the images seen in training (int64 from version
0.2 on, int32 before). Then layer by layer in the order of the network's ``cfg``: the biases, with batch norm also its
scales, means and variances (the biases are its shift then), and last the kernel (out, in, height, width). Only the
network can tell what is what: our modules are built in the order of the ``cfg``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from baimu.errors import CheckpointError
from baimu.layers.norm import FrozenBatchNorm2d
from baimu.weights.refusal import Refused, opened

VERSION = (0, 2, 5)
"""What today's Darknet writes."""
_NORMS = nn.BatchNorm2d | FrozenBatchNorm2d
_COUNTER = "num_batches_tracked"


class DarknetFile(NamedTuple):
    """Parameters under the names of the model that they were read for, and what the header says."""

    state: dict[str, Tensor]  # on the CPU; complete, so that ``load_state_dict`` takes it
    version: tuple[int, int, int]
    seen: int  # images, in training


def is_darknet(path: str | Path) -> bool:
    """By its ending: the content says nothing."""
    return Path(path).suffix.lower() == ".weights"


def read_darknet(path: str | Path, model: nn.Module, *, whole: bool = True) -> DarknetFile:
    """The parameters of the ``.weights`` file at ``path`` for ``model``, which may be on the meta device and stays as
    it is.

    ``whole=False`` reads the front of a longer file: a detector's begins with its backbone. Batch norms here divide by
    ``sqrt(variance + 1e-5)``, as AlexeyAB's Darknet does; pjreddie's divides by ``sqrt(variance) + 1e-6``.

    Raises :class:`~baimu.errors.CheckpointError` for a file that is absent, cut off, too long, or of another network as
    far as its numbers show (negative variances), and for a model that Darknet could not have written.
    """
    places = list(_places(model))
    needed = sum(shape.numel() for _, shape in places)
    with opened(Path(path)) as (file, size):
        version, seen = _header(file, size)
        held, rest = divmod(size - file.tell(), 4)
        if rest:
            raise Refused(f"ends inside a number ({rest} bytes too many or {4 - rest} too few); download it again")
        if held < needed:
            raise Refused(
                f"holds {held:,} numbers where the model has {needed:,}: it ends inside {_place_of(held, places)}. "
                "It is cut off (download it again) or of another network, perhaps with other classes"
            )
        if held > needed and whole:
            raise Refused(
                f"holds {held:,} numbers where the model has {needed:,}: it is of a larger network. "
                "If that begins with this model, as a detector with its backbone, whole=False reads the front"
            )
        values = torch.from_numpy(np.fromfile(file, "<f4", needed).astype(np.float32, copy=False))
        parts = values.split([shape.numel() for _, shape in places])
        found = {name: part.view(shape) for (name, shape), part in zip(places, parts, strict=True)}
        _check(found)
    counters = {name: torch.zeros((), dtype=torch.long) for name in model.state_dict() if name.endswith(_COUNTER)}
    return DarknetFile(found | counters, version, seen)


def write_darknet(path: str | Path, model: nn.Module, *, seen: int = 0) -> None:
    """The parameters of ``model`` as a ``.weights`` file of version 0.2.5; the inverse of :func:`read_darknet`.

    Raises :class:`~baimu.errors.CheckpointError` for a model that Darknet has no layers for.
    """
    state = model.state_dict()
    places = list(_places(model))
    with open(path, "wb") as file:
        file.write(struct.pack("<3iq", *VERSION, seen))
        for name, _ in places:
            file.write(state[name].detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes())


def _places(model: nn.Module) -> Iterator[tuple[str, torch.Size]]:
    """Names and shapes of the parameters and statistics of ``model`` in the order of the file."""
    modules = ((name, m) for name, m in model.named_modules() if next(m.parameters(recurse=False), None) is not None)
    for name, layer in modules:
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            raise CheckpointError(f"{name}: Darknet's files have no place for {type(layer).__name__}")
        own = ["bias", "weight"]
        if layer.bias is None:
            norm_name, norm = next(modules, ("", None))
            if not isinstance(norm, _NORMS) or norm.running_mean is None:
                raise CheckpointError(f"{name}: Darknet's files have no convolution without bias and batch norm")
            if norm.running_mean.shape != layer.weight.shape[:1]:
                raise CheckpointError(f"{norm_name}: a batch norm of other channels than {name}, which it follows here")
            own = ["weight"]
            for kind in ("bias", "weight", "running_mean", "running_var"):
                yield f"{norm_name}.{kind}".removeprefix("."), norm.running_mean.shape
        for kind in own:
            yield f"{name}.{kind}".removeprefix("."), getattr(layer, kind).shape


def _header(file: BinaryIO, size: int) -> tuple[tuple[int, int, int], int]:
    """Version and images seen; the file stands at its first number then."""
    if size < 20:
        raise Refused(f"is no .weights file: {size} bytes have no room for a header; download it again")
    begin = file.read(12)
    major, minor, revision = struct.unpack("<3i", begin)
    if not (0 <= major < 10 and 0 <= minor < 100 and revision >= 0):  # later ones transpose; there are none
        raise Refused(f"is no .weights file: it begins with {begin[:8].hex(' ')}, not with a version of Darknet")
    kind = "<q" if major * 10 + minor >= 2 else "<i"
    (seen,) = struct.unpack(kind, file.read(struct.calcsize(kind)))
    return (major, minor, revision), seen


def _place_of(held: int, places: list[tuple[str, torch.Size]]) -> str:
    for name, shape in places:
        held -= shape.numel()
        if held < 0:
            return name
    raise AssertionError("the file ends behind the model")


def _check(state: dict[str, Tensor]) -> None:
    """Refuse numbers that no network has: they are of other layers than these."""
    for name, value in state.items():
        wrong = not value.isfinite().all() or (name.endswith("running_var") and bool((value < 0).any()))
        if wrong:
            raise Refused(f"has numbers that cannot be {name}: it is of another network of this size, or damaged")
