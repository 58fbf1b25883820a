"""Is a reference's configuration the one that a model of ours stands for? Nothing in it is passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ANY = ...
"""In a pattern: whatever the value, it is an argument of ours, or changes no number."""


class Lacking(Exception):
    """No model of the catalogue computes what a golden file holds; the message says what would have to be there."""


def unlike(config: Any, pattern: Any, path: str = "") -> Iterator[str]:
    """Every place of ``config`` that ``pattern`` does not stand for, as ``neck.type = PAFPN``.

    A mapping must have only entries that the pattern names; one that it leaves out has the reference's default, and
    the pattern was written for that. A part (a mapping in the pattern) that is not there at all is a difference. Of a
    part of another type only the type is told. A ``frozenset`` in a pattern holds the values that are alike.
    """
    if pattern is ANY or config == pattern or (isinstance(pattern, frozenset) and config in pattern):
        return
    if isinstance(pattern, list) and isinstance(config, list) and len(pattern) == len(config):
        for i, (entry, its_pattern) in enumerate(zip(config, pattern, strict=True)):
            yield from unlike(entry, its_pattern, f"{path}.{i}")
        return
    if not isinstance(pattern, Mapping) or not isinstance(config, Mapping):
        yield f"{path} = {_shown(config)}"
        return
    if "type" in config and any(unlike(config["type"], pattern.get("type", ANY))):
        yield f"{path}.type = {config['type']}".removeprefix(".")
        return
    for key in [*config, *(k for k, v in pattern.items() if isinstance(v, Mapping) and k not in config)]:
        where = f"{path}.{key}" if path else key
        if key not in config:
            yield f"no {where}"
        elif key not in pattern:
            yield f"{where} = {_shown(config[key])}"
        else:
            yield from unlike(config[key], pattern[key], where)


def _shown(value: Any) -> str:
    """A value in a line: of parts only what they are."""
    if isinstance(value, Mapping):
        return str(value.get("type", "{…}")) if "cfg" not in value else _shown(value["cfg"])
    if isinstance(value, list):
        return f"[{', '.join(_shown(v) for v in value)}]"
    return str(value)


def expect(config: Any, pattern: Any) -> None:
    """Raise :class:`Lacking` with the first differences, unless there are none."""
    found = list(unlike(config, pattern))
    if found:
        raise Lacking("; ".join(found[:2]) + (f" and {len(found) - 2} more" if len(found) > 2 else ""))
