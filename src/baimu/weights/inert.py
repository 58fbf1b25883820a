"""What a pickle becomes when it is read: descriptions that hold data and cannot do anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.weights.header import elements
from baimu.weights.refusal import Refused

Spend = Callable[[int], None]
"""Tells the reader that so many items or bytes are about to be copied; raises :class:`Refused` past its budget."""
Reading = Callable[["Inert"], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A name that a file may mention. ``make`` is ours and gives what calling it stands for; None: never called."""

    name: str
    make: Callable[[tuple, Spend], Any] | None = None


@dataclass(slots=True, eq=False)
class Inert:
    """What stands where the file has an object of a known class: the class's name and the data it was saved with.

    ``reading`` shows the content as plain dictionaries and lists; None: its name is all that is told of it.
    """

    name: str
    reading: Reading | None
    arguments: tuple
    items: dict[Any, Any] = field(default_factory=dict)
    state: Any = None

    def receive(self, state: Any, spend: Spend) -> None:
        """Take the object's saved state, once."""
        if self.state is not None:
            raise Refused(f"damaged (a {self.name} has two states); use another file")
        self.state = state


@dataclass(frozen=True, slots=True, eq=False)
class StorageType:
    """A class of PyTorch storages; ``dtype`` is None where the tensors name theirs."""

    dtype: torch.dtype | None


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """``size`` bytes somewhere in the file, under ``key``."""

    key: str
    dtype: torch.dtype | None
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A tensor as a view of a storage: offset and strides in elements, proved to stay inside."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        count = elements(self.shape)
        whole = all(type(n) is int and n >= 0 for n in (self.offset, *self.stride))
        if not whole or len(self.stride) != len(self.shape):
            raise Refused("damaged (a tensor's strides are impossible); use another file")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if count and (last + 1) * self.dtype.itemsize > self.storage.size:
            raise Refused("damaged (a tensor reaches beyond its storage); use another file")

    @property
    def size(self) -> int:
        """Bytes of its elements if each had its own."""
        return elements(self.shape) * self.dtype.itemsize

    def of(self, data: bytearray) -> Tensor:
        """The tensor; ``data`` are the bytes of its storage, which tensors may share."""
        if not self.size:
            return torch.empty(self.shape, dtype=self.dtype)
        whole = len(data) - len(data) % self.dtype.itemsize
        flat = torch.frombuffer(data, dtype=torch.uint8, count=whole).view(self.dtype)
        return flat.as_strided(self.shape, self.stride, self.offset)

    def __str__(self) -> str:
        return f"<tensor {str(self.dtype).removeprefix('torch.')} {self.shape}>"


@dataclass(slots=True, eq=False)
class Dtype:
    """A type of NumPy's that holds numbers or text and nothing else."""

    code: str
    order: str = "="
    built: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,5}", self.code):
            objects = self.code.startswith("O") or "object" in self.code
            what = "Python objects" if objects else f"the NumPy type {self.code!r:.40}"
            raise Refused(f"holds arrays of {what}; save arrays of numbers")

    def receive(self, state: Any, spend: Spend) -> None:
        match state:
            case (int(), "<" | ">" | "|" | "=" as order, None, None, None, int(), int(), int()) if not self.built:
                self.order, self.built = order, True
            case _:
                raise Refused("holds a NumPy type with fields, parts or remarks; save arrays of plain numbers")

    @property
    def plain(self) -> np.dtype:
        return np.dtype(("=" if self.order == "|" else self.order) + self.code)


@dataclass(slots=True, eq=False)
class Array:
    """A NumPy array: its numbers are ``data``, in C order or in Fortran's."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = (0,)
    data: bytes = b""
    fortran: bool = False

    def receive(self, state: Any, spend: Spend) -> None:
        match state:
            case (int(), tuple() as shape, Dtype() as dtype, bool() | int() as fortran, bytes() | str() as data):
                pass
            case _:
                raise Refused("holds an array that is not one of plain numbers; save arrays of numbers")
        if self.dtype is not None:
            raise Refused("damaged (an array has two states); use another file")
        spend(len(data) if isinstance(data, str) else 0)
        try:  # Python 2 wrote bytes as text
            raw = data.encode("latin-1") if isinstance(data, str) else data
        except UnicodeEncodeError:
            raise Refused("damaged (an array's bytes are none); use another file") from None
        self.dtype, self.shape, self.data, self.fortran = dtype, shape, raw, bool(fortran)
        self.check()

    def check(self) -> None:
        """Refuse an array whose bytes do not fill its shape, or are no text where text is stated."""
        if elements(self.shape) * self.type.itemsize != len(self.data):
            raise Refused("damaged (an array's bytes do not fill its shape); use another file")
        if self.type.kind == "U":  # NumPy believes them; Python then fails in ways of its own
            codes = np.frombuffer(self.data, self.type.str[0] + "u4")
            if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
                raise Refused("damaged (an array of text holds none); use another file")

    @property
    def type(self) -> np.dtype:
        if self.dtype is None:
            raise Refused("damaged (an array without content); use another file")
        return self.dtype.plain

    def values(self) -> np.ndarray:
        """A fresh array in the machine's byte order."""
        flat = np.frombuffer(self.data, self.type)
        return flat.reshape(self.shape, order="F" if self.fortran else "C").astype(self.type.newbyteorder("="))

    def __str__(self) -> str:
        return f"<array {self.type.name} {self.shape}>"
