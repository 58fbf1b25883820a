"""Foreign state dicts become ours, and ours theirs: tables of (regex, replacement), strict on both sides.

A :class:`Route` maps one kind of network of one source. Its table is applied in order, every pair to the answer of the
last; the way back is derived from the same table (:func:`invert`), so that the two can never disagree.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess
from baimu.weights.fit import compare

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

KeyTable = Sequence[tuple[str, str]]
State = dict[str, Tensor]

COUNTERS = r"\.num_batches_tracked$"
"""Batch norm's counters, which no computation here reads; norms that are frozen in the source have none."""


def unchanged(state: State) -> State:
    """The values as they are."""
    return state


@dataclass(frozen=True)
class Route:
    """How one kind of network of a source becomes ours, and ours theirs.

    ``to_ours`` and ``to_theirs`` change values (class order, joined matrices) and see *their* names: one runs before
    the renaming, the other after the renaming back. ``older`` brings names of earlier versions of the source to its
    present ones, in which the way back is written.
    """

    models: str  # regex over the whole name of a catalogue entry
    table: KeyTable
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the name function: what the source does otherwise
    to_ours: Callable[[State], State] = unchanged
    to_theirs: Callable[[State], State] = unchanged
    may_miss: tuple[str, ...] = ()  # regexes of our names that their file may lack
    may_stay: tuple[str, ...] = ()  # regexes of our names that a network may lack; they stay in the file then
    drop: tuple[str, ...] = ()  # regexes of their names that hold no parameter of ours
    elsewhere: tuple[str, ...] = ()  # regexes of our names that such a file lacks; they stay out when it is written
    older: KeyTable = ()
    same: tuple[str, ...] = ()  # regexes of our names that are theirs too


@dataclass(frozen=True)
class Facts:
    """What a file tells besides its tensors; ``None`` and ``{}`` where it does not say."""

    classes: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the name function, that shapes cannot show


def no_facts(stored: Stored) -> Facts:
    """Of a source whose files hold tensors only."""
    del stored
    return Facts()


def bare(state: State, facts: Facts) -> dict[str, Any]:
    """A state dict with nothing around it."""
    del facts
    return dict(state)


@dataclass(frozen=True)
class Source:
    """A library whose checkpoints are read: the routes of its networks, by which its files are known as well."""

    name: str
    routes: tuple[Route, ...]
    describe: Callable[[Stored], Facts] = no_facts
    wrap: Callable[[State, Facts], dict[str, Any]] = bare  # what its files hold around a state dict

    def route(self, model: str) -> Route:
        """The route of a catalogue name; :class:`~baimu.errors.CheckpointError` where the source has none."""
        for route in self.routes:
            if re.fullmatch(route.models, model):
                return route
        raise CheckpointError(f"{model}: there is no table for weights of {self.name}; it has: {self._served()}")

    def _served(self) -> str:
        return ", ".join(route.models for route in self.routes)


_compiled = functools.cache(re.compile)  # there are more patterns than the cache of ``re`` keeps


def rename(key: str, table: KeyTable) -> str:
    """``key`` after every pair of the table, in order; patterns match anywhere unless they are anchored."""
    for pattern, replacement in table:
        key = _compiled(pattern).sub(replacement, key)
    return key


def known_share(keys: Iterable[str], route: Route) -> float:
    """The share of a file's names that ``route`` knows, 0…1: it drops or renames them, or they are ours as they are."""
    kept = [rename(key, route.older) for key in keys if not _meets(key, route.drop)]
    strange = sum(rename(key, route.table) == key and not _meets(key, route.same) for key in kept)
    return 1 - strange / len(kept) if kept else 0.0


def _meets(key: str, patterns: Iterable[str]) -> bool:
    return any(_compiled(pattern).search(key) for pattern in patterns)


def invert(table: KeyTable) -> KeyTable:
    """The table that undoes ``table``: its pairs turned round, last first.

    A pattern may hold literals, escaped characters, ``^`` and ``$`` at its ends, and groups, each of which the
    replacement names exactly once. Raises ``ValueError`` for any other: split it until it is made of these.
    """
    return tuple(_turned(pattern, replacement) for pattern, replacement in reversed(table))


_PIECE = re.compile(
    r"""(?P<group> \( (?!\?) (?:[^()\\] | \\. | \(\?: [^()]* \))* \))  # captures once, holds no other that does
      | \\(?P<escaped>\W) | (?P<literal>[\w\- ])""",
    re.VERBOSE,
)
_ANSWER = re.compile(r"\\(?P<number>\d)|(?P<literal>[^\\])")


def _turned(pattern: str, replacement: str) -> tuple[str, str]:
    start, end = "^" * pattern.startswith("^"), "$" * pattern.endswith("$")
    pieces = _scan(_PIECE, pattern.removeprefix("^").removesuffix("$"), pattern)
    answer = _scan(_ANSWER, replacement, replacement)
    groups = [piece["group"] for piece in pieces if piece["group"]]
    used = [int(piece["number"]) for piece in answer if piece["number"]]
    if sorted(used) != list(range(1, len(groups) + 1)):
        raise ValueError(f"{pattern!r} → {replacement!r}: each group must stand in the replacement exactly once")
    back = "".join(groups[int(a["number"]) - 1] if a["number"] else re.escape(a["literal"]) for a in answer)
    places = (rf"\{used.index(number) + 1}" for number in range(1, len(groups) + 1))
    text = "".join(next(places) if p["group"] else p["escaped"] or p["literal"] for p in pieces)
    return f"{start}{back}{end}", text


def _scan(piece: re.Pattern[str], text: str, whole: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    place = 0
    while place < len(text):
        match = piece.match(text, place)
        if match is None:
            raise ValueError(f"{whole!r} cannot be inverted at {text[place:]!r}: use literals and groups only")
        found.append(match)
        place = match.end()
    return found


def renamed(state: Mapping[str, Tensor], route: Route) -> State:
    """``state`` under our names, not yet compared with any model. Two keys that become one are an error."""
    kept = {rename(k, route.older): v for k, v in state.items() if not _meets(k, route.drop)}
    return _under_new_names(route.to_ours(kept), route.table)


def wanted(state: State, own: Iterable[str], route: Route) -> State:
    """``state``, under our names, without what may stay in the file and is not among a network's ``own`` names."""
    return {key: value for key, value in state.items() if key in own or not _meets(key, route.may_stay)}


def convert(state: Mapping[str, Tensor], model: nn.Module, via: Route | Source) -> State:
    """A foreign ``state`` as a state dict of ``model`` (which may be on the meta device), complete and of its shapes.

    With a :class:`Source`, the route is that of the name ``model`` was created by. Raises
    :class:`~baimu.errors.CheckpointError` with what is left over on either side and the share that matched.
    """
    route = via if isinstance(via, Route) else via.route(_name_of(model))
    own = {key: value.shape for key, value in model.state_dict().items()}
    found = wanted(renamed(state, route), own, route)
    fit = compare(own, found, may_miss=route.may_miss)
    if not fit.whole:
        raise CheckpointError(f"these weights do not fit {_name_of(model)}.{fit.report()}")
    return found


def convert_back(state: Mapping[str, Tensor], route: Route) -> State:
    """Our ``state`` under the source's names and with its values: the inverse of :func:`convert`."""
    state = {key: value for key, value in state.items() if not _meets(key, route.elsewhere)}
    theirs = _under_new_names(state, invert(route.table))
    nameless = [
        key
        for key, name in zip(state, theirs, strict=True)
        if rename(name, route.table) != key or (name == key and not _meets(key, route.same))
    ]
    if nameless:
        more = f" and {len(nameless) - 8} more" if len(nameless) > 8 else ""
        raise CheckpointError(f"the source's network has no such parameters: {', '.join(nameless[:8])}{more}")
    return route.to_theirs(theirs)


def load_converted(model: nn.Module, state: Mapping[str, Tensor], via: Route | Source) -> None:
    """Load a foreign ``state`` into ``model``; nothing is loaded unless all of it fits (see :func:`convert`)."""
    model.load_state_dict(convert(state, model, via), strict=False)  # strict already, but for what may miss


def _under_new_names(state: Mapping[str, Tensor], table: KeyTable) -> State:
    names = [rename(key, table) for key in state]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise CheckpointError(f"several parameters of the file become one, and all but one would be lost: {twice[:8]}")
    return dict(zip(names, state.values(), strict=True))


def _name_of(model: nn.Module) -> str:
    spec = getattr(model, "spec", None)
    return spec[0] if spec else type(model).__name__
