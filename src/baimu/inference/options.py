"""What a user may ask for by name: the keyword arguments of what is made for a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from baimu.errors import unknown


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
