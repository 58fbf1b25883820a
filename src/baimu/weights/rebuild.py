"""What calling a known name with arguments comes to here: functions of ours, which only put data together.

Each takes the arguments that the file has and a function that counts copies, and checks that they are those with which
such an object is saved.
"""

from __future__ import annotations

from typing import Any

import torch

from baimu.weights.inert import Array, Dtype, Inert, Known, Placed, Reading, Spend, Storage
from baimu.weights.refusal import Refused


def _arguments(name: str, fitting: bool) -> None:
    if not fitting:
        raise Refused(f"damaged (what it says of a {name} is not how one is saved); use another file")


def tensor(arguments: tuple, _: Spend) -> Placed:
    """``_rebuild_tensor``, ``_v2``: (storage, offset, shape, strides[, requires_grad, hooks[, marks]])."""
    match arguments:
        case (Storage(dtype=torch.dtype() as dtype) as storage, offset, tuple() as shape, tuple() as stride, *rest):
            _arguments("tensor", not any(rest[2:]))  # conjugate and negative bits are not applied here
            return Placed(storage, dtype, offset, shape, stride)
    raise Refused("damaged (what it says of a tensor is not how one is saved); use another file")


def typed_tensor(arguments: tuple, _: Spend) -> Placed:
    """``_rebuild_tensor_v3``: (storage, offset, shape, strides, requires_grad, hooks, dtype[, marks])."""
    match arguments:
        case (Storage() as storage, offset, tuple() as shape, tuple() as stride, _, _, torch.dtype() as dtype, *rest):
            _arguments("tensor", not any(rest))
            return Placed(storage, dtype, offset, shape, stride)
    raise Refused("damaged (what it says of a tensor is not how one is saved); use another file")


def parameter(arguments: tuple, _: Spend) -> Placed:
    """A parameter is its tensor; what else was set on it is left out."""
    _arguments("parameter", bool(arguments) and type(arguments[0]) is Placed)
    return arguments[0]


def tensor_with_attributes(arguments: tuple, spend: Spend) -> Any:
    """``_rebuild_from_type_v2``: (function, class, its arguments, attributes): a tensor with attributes."""
    match arguments:
        case (Known(make=make), Known(), tuple() as inner, _) if make and make in (tensor, typed_tensor, parameter):
            return make(inner, spend)
    raise Refused("holds a subclass of tensors; save plain tensors")


def bytes_from_text(arguments: tuple, spend: Spend) -> bytes:
    """``_codecs.encode``: how protocol 2 writes bytes."""
    match arguments:
        case (str() as text, "latin1" | "latin-1"):
            spend(len(text))
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                pass
    raise Refused("damaged (text that stands for bytes is none); use another file")


def no_bytes(arguments: tuple, _: Spend) -> bytes:
    """``bytes()``: how protocol 2 writes none."""
    _arguments("bytes", arguments == ())
    return b""


def array(arguments: tuple, _: Spend) -> Array:
    """``_reconstruct``: an empty array that then receives its state."""
    _arguments("array", bool(arguments) and getattr(arguments[0], "name", None) == "numpy.ndarray")
    return Array()


def array_of_bytes(arguments: tuple, _: Spend) -> Array:
    """``_frombuffer``: (bytes, type, shape, order), of protocol 5."""
    match arguments:
        case (bytes() as data, Dtype() as dtype, tuple() as shape, "C" | "F" as order):
            made = Array(dtype, shape, data, order == "F")
            made.check()
            return made
    raise Refused("holds an array that is not one of plain numbers; save arrays of numbers")


def numpy_type(arguments: tuple, _: Spend) -> Dtype:
    """``numpy.dtype``: (code, align, copy)."""
    _arguments("NumPy type", bool(arguments) and type(arguments[0]) is str)
    return Dtype(arguments[0])


def number(arguments: tuple, spend: Spend) -> Any:
    """A NumPy scalar becomes Python's number or text."""
    match arguments:
        case (Dtype() as dtype, bytes() | str() as data):
            made = Array()
            made.receive((1, (), dtype, False, data), spend)
            return made.values().item()
    raise Refused("holds a NumPy scalar that is no plain number; save Python's numbers")


def mapping(arguments: tuple, spend: Spend) -> dict[Any, Any]:
    """OrderedDict, Counter, defaultdict: with pairs (as Python 2 wrote them), with a dictionary, or empty."""
    match arguments:
        case () | (None,) | (Known(),):
            return {}
        case (dict() as given,) | (Known(), dict() as given):
            spend(len(given))
            return dict(given)
        case (list() as pairs,) if all(type(p) in (list, tuple) and len(p) == 2 and type(p[0]) is str for p in pairs):
            spend(len(pairs))
            return dict(pairs)
    raise Refused("damaged (what it says of a dictionary is not how one is saved); use another file")


def sequence(arguments: tuple, spend: Spend) -> list[Any]:
    """Sets and deques become lists: (items[, longest])."""
    match arguments:
        case () | ((), *_):
            return []
        case (list() | tuple() as items, *_):
            spend(len(items))
            return list(items)
    raise Refused("damaged (what it says of a set is not how one is saved); use another file")


def shape(arguments: tuple, _: Spend) -> tuple:
    _arguments("shape", len(arguments) == 1 and type(arguments[0]) is tuple)
    return arguments[0]


def attribute(arguments: tuple, _: Spend) -> Known:
    """``getattr`` as protocol 2 writes mmengine's ``HistoryBuffer.mean``: its name, not looked up."""
    match arguments:
        case (Known(name="mmengine.logging.history_buffer.HistoryBuffer"), "current" | "max" | "mean" | "min" as name):
            return Known(f"mmengine.logging.history_buffer.HistoryBuffer.{name}")
    raise Refused("looks up an attribute (getattr), which no file of parameters needs; use another file")


def fields(inert: Inert) -> Any:
    return inert.state if type(inert.state) is dict else {}


def entries(inert: Inert) -> Any:
    given = inert.arguments[0] if inert.arguments and type(inert.arguments[0]) is dict else {}
    return {**given, **inert.items}


def config(inert: Inert) -> Any:
    """mmcv's and mmengine's Config is saved as (dictionary, file name, text, …)."""
    return inert.state[0] if type(inert.state) is tuple and inert.state else {}


def content(inert: Inert) -> Any:
    return fields(inert).get("_content")


def value(inert: Inert) -> Any:
    return fields(inert).get("_val")


def stand_in(name: str, reading: Reading | None) -> Known:
    """A class whose objects are kept as :class:`Inert`, and how their content reads."""
    return Known(name, lambda arguments, _: Inert(name, reading, arguments))
