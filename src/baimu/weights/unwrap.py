"""Finding the state dict in what a training framework saved around it, and making the rest plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baimu.weights.inert import Array, Inert, Known, Placed
from baimu.weights.refusal import Refused

Leaf = Placed | Array

_USUAL = (
    "params_ema",
    "state_dict_ema",
    "model_ema",
    "ema_model",
    "g_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "params",
    "network",
    "net",
    "generator",
    "netG",
    "weights",
    "blobs",
    "module",
)
"""Names that frameworks give the state dict, the wanted first. Moving averages come before what they average, as in
the published figures; mmengine's ``ema_state_dict`` is not among them, for there ``state_dict`` is the average."""
_ROOT, _OTHER = len(_USUAL), len(_USUAL) + 1
_DEEPEST_PART, _DEEPEST = 4, 64
_MOST_VALUES = 100_000  # beside the tensors
_MOST_ENTRIES = 200_000  # of all dictionaries that could hold them
_MOST_PREFIXES = 4
_SHORT = 4096  # bytes up to which an array beside the tensors is spelled out


def state_of(root: Any, part: str | None) -> tuple[dict[str, Leaf], dict[str, Any]]:
    """The tensors of the dictionary that is the model's (or of the one named ``part``), and what stands beside them."""
    parts = _parts(root) if type(root) is dict else {}
    if not parts:
        raise Refused(f"holds no dictionary of tensors ({_what(root)}); save model.state_dict()")
    trail = _chosen(parts, part)
    tensors = {name: value for name, value in parts[trail].items() if _is_leaf(name, value)}
    return without_prefix(tensors), _beside(root, trail, set(parts))


def without_prefix(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Names without what DataParallel and torch.compile put before every one of them."""
    found = dict(tensors)
    for _ in range(_MOST_PREFIXES):
        for prefix in ("module.", "_orig_mod."):
            if all(name.startswith(prefix) for name in found):
                found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _is_leaf(name: Any, value: Any) -> bool:
    return type(name) is str and (type(value) is Placed or (type(value) is Array and value.type.kind in "fiubc"))


def _parts(root: dict[Any, Any]) -> dict[tuple[str, ...], dict[Any, Any]]:
    """Every dictionary that holds tensors under names, by the names that lead to it; what is above comes first."""
    found: dict[tuple[str, ...], dict[Any, Any]] = {}
    waiting: list[tuple[tuple[str, ...], dict[Any, Any]]] = [((), root)]
    left = _MOST_ENTRIES
    for trail, node in waiting:
        left -= len(node)  # counted each time it is met, for a few dictionaries can hold each other many times
        if left < 0:
            raise Refused(f"holds dictionaries of over {_MOST_ENTRIES} entries; save the state dict alone")
        if any(_is_leaf(name, value) for name, value in node.items()):
            found[trail] = node
        if len(trail) < _DEEPEST_PART:
            waiting += [((*trail, n), v) for n, v in node.items() if type(n) is str and type(v) is dict]
    return found


def _chosen(parts: Mapping[tuple[str, ...], Any], part: str | None) -> tuple[str, ...]:
    named = {".".join(trail): trail for trail in parts}
    if part is not None:
        if part not in named:
            raise Refused(f"has no part {part!r}; its parts are {_list(named)}")
        return named[part]
    size = {trail: sum(_is_leaf(*item) for item in node.items()) for trail, node in parts.items()}
    root = _ROOT if size.get(()) == max(size.values()) else _OTHER + 1  # it may hold but a figure beside the state dict
    ranks = {trail: [_USUAL.index(n) if n in _USUAL else _OTHER for n in trail] or [root] for trail in parts}
    best = min(ranks.values())
    found = [trail for trail, rank in ranks.items() if rank == best]
    if len(found) > 1:
        choice = f"part={'.'.join(found[0])!r}"
        raise Refused(f"holds several dictionaries of tensors: {_list(named)}; choose one: {choice}")
    return found[0]


def _list(names: Mapping[str, Any]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(repr(name)[:60] for name in list(names)[:8]) + more


def _what(root: Any) -> str:
    if type(root) is dict:
        return f"but the entries {', '.join(repr(str(name))[:40] for name in list(root)[:5]) or 'none'}"
    return f"but {root.name}" if type(root) is Inert else f"but one {type(root).__name__}"


def _beside(root: dict[Any, Any], trail: tuple[str, ...], parts: set[tuple[str, ...]]) -> dict[str, Any]:
    """What stands beside the chosen dictionary at every level above it and in it, the outermost under its own name."""
    plain = _Plain(parts)
    about: dict[str, Any] = {}
    node = root
    for depth in range(len(trail) + 1):
        here, inner = trail[:depth], trail[depth] if depth < len(trail) else None
        for name, value in node.items():
            if name != inner and not (inner is None and _is_leaf(name, value)):
                key = plain.key(name)
                about[key if key not in about else ".".join((*here, key))] = plain.value(value, (*here, name))
        node = node[inner] if inner is not None else node
    return about


class _Plain:
    """Turns descriptions into JSON-like values; what has no such form is described in angle brackets."""

    def __init__(self, parts: set[tuple[str, ...]]) -> None:
        self.parts = parts
        self.left = _MOST_VALUES

    def value(self, value: Any, trail: tuple[Any, ...] | None, depth: int = 0) -> Any:
        self.left -= 1
        if depth > _DEEPEST or self.left < 0:
            raise Refused(
                f"holds over {_MOST_VALUES} values or {_DEEPEST} levels beside its tensors; save the state dict alone"
            )
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is dict and trail and trail in self.parts and all(_is_leaf(k, v) for k, v in value.items()):
            return f"<{len(value)} tensors; read_stored(path, part={'.'.join(trail)!r}) reads them>"
        if type(value) is dict:
            return {self.key(k): self.value(v, trail and (*trail, k), depth + 1) for k, v in value.items()}
        if type(value) in (list, tuple):
            return [self.value(v, None, depth + 1) for v in value]
        if type(value) is Array and len(value.data) <= _SHORT and value.type.kind in "fiubU":
            self.left -= len(value.data)
            return value.values().tolist()
        if type(value) is Inert and value.reading is not None:
            return self.value(value.reading(value), None, depth + 1)
        return self.name(value)

    def key(self, key: Any) -> str:
        return key if type(key) is str else self.name(key) if type(key) is Known else str(key)

    def name(self, value: Any) -> str:
        if type(value) in (Known, Inert):
            return f"<{value.name}>"
        return str(value) if type(value) in (Array, Placed) else f"<{type(value).__name__}>"
