"""What a user may ask for by name: the keyword arguments of what is made for a model."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from operator import index
from typing import Any, SupportsFloat, SupportsIndex

from baimu.errors import ArgumentError, unknown


def option_names(maker: Callable[..., Any]) -> list[str]:
    """The keyword-only arguments of a class or function."""
    return [p.name for p in inspect.signature(maker).parameters.values() if p.kind is p.KEYWORD_ONLY]


def option_types(maker: Callable[..., Any]) -> dict[str, Any]:
    """The same, and what each is annotated with."""
    parameters = inspect.signature(maker, eval_str=True).parameters
    return {name: parameters[name].annotation for name in option_names(maker)}


def check_options(kind: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise :class:`~baimu.errors.UnknownNameError`, which offers the nearest, for an option that is not ``known``."""
    for name in options:
        if name not in known:
            raise unknown(kind, name, known)


def check_share(name: str, value: Any) -> None:
    """Raise :class:`~baimu.errors.ArgumentError` unless ``value`` is a number in 0…1, or None."""
    number = float(value) if isinstance(value, SupportsFloat) else math.nan
    if value is None or 0 <= number <= 1:
        return
    percent = f"; {number:g} % is {number / 100:g}" if 1 < number <= 100 else ""
    raise ArgumentError(f"{name}={value!r}: give a number between 0 and 1{percent}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise :class:`~baimu.errors.ArgumentError` unless ``value`` is a whole number of at least ``least``, or None."""
    if value is not None and not (isinstance(value, SupportsIndex) and index(value) >= least):
        raise ArgumentError(f"{name}={value!r}: give a whole number, at least {least}")
