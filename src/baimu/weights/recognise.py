"""Whose checkpoint a file is, and of which network: by its names and shapes.

A source knows a file if one of its tables knows the names; the network is the one of the catalogue whose names and
shapes are all met. Networks are built for that on the meta device, a few only: the tables and the size of the
backbone tell which come first. Sources whose tables give the same answer are all named. What shapes cannot show (where
a ResNet halves its maps) is the file's own word, or an argument, or an assumption that is said aloud.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from baimu import zoo
from baimu.errors import CheckpointError, unknown
from baimu.weights.classes import count_classes
from baimu.weights.fit import Fit, compare
from baimu.weights.keys import Facts, Route, Source, State, known_share, renamed, wanted
from baimu.weights.outline import BACKBONE, Part, build, outline
from baimu.weights.sizes import size_of, sizes

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

SOURCES = (
    "torchvision", "timm", "openmmlab", "detectron2", "detr", "huggingface", "megvii", "junyanz", "basicsr",
    "crnn", "siamese", "insightface", "strong_baseline", "fastreid",
)  # fmt: skip
"""Modules of this room; of several that know a file equally well, the first lends its name to what is written."""
LIKELY = 0.8  # share of the best from which a table, and of 1 from which a network's other forms, are tried
FEW = 24  # names of a file that every table is asked for
MOST = 12  # networks that are built before a file is refused


@dataclass(frozen=True)
class Recognised:
    """What a foreign file turned out to be."""

    sources: tuple[Source, ...]  # all whose tables make the same of it
    route: Route
    name: str  # of the catalogue
    part: Part  # of that network that the file holds
    arguments: dict[str, Any]  # of that name, with num_classes where the heads are there
    state: State  # under our names
    facts: Facts
    also: tuple[str, ...] = ()  # other names that it fits as well

    @property
    def origin(self) -> str:
        """``torchvision``, or ``torchvision or timm``."""
        return " or ".join(source.name for source in self.sources)


class _Table(NamedTuple):
    """What a route knows of a file's names."""

    known: float  # share of them
    source: Source
    route: Route


@dataclass(frozen=True)
class _Candidate:
    source: Source
    route: Route
    name: str
    part: Part
    state: State
    rank: tuple[float, int]  # the lowest is tried first: all names known, and as many parameters


@dataclass(frozen=True)
class _Try:
    candidate: _Candidate
    arguments: dict[str, Any]
    state: State  # without what this network has no place for and may leave
    part: Part
    fit: Fit
    count: int | None


def recognise(
    stored: Stored, *, as_: str | None = None, origin: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Recognised:
    """The source and network of a foreign file.

    ``as_`` names the network, ``origin`` the source (``"openmmlab"``); ``arguments`` are those of the network's name.
    Raises :class:`~baimu.errors.CheckpointError` where no source knows the names, or no network has all of the names
    and shapes: with the share of the nearest and what is left over on either side.
    """
    if as_ is not None and as_ not in zoo.index():
        raise unknown("model", as_, zoo.index())
    given = dict(arguments or {})
    every = _tables(stored, origin)
    whose = [*dict.fromkeys(table.source.name for table in every if table.known >= LIKELY * every[0].known)]
    tables = [table for table in every if table.source.name in whose]
    tries = _tries(_candidates(stored, tables, as_), given)
    whole = [t for t in tries if t.fit.whole]
    if not whole:
        near = [t.candidate for t in tries if t.fit.share >= LIKELY and _takes_scratch(t.candidate.name)]
        whole = [t for t in _tries(near, {"scratch": True, **given}) if t.fit.whole]
    if not whole:
        if not tries and as_ and any(_served(table.route, [as_]) for table in tables):
            build(as_, given)  # tells which argument it does not take
        raise _refusal(stored, " or ".join(whose), tries, as_, given)
    best, chosen = whole[0], whole[0].candidate
    same = [t.candidate for t in whole if _same(t, best)]
    facts = _agreed([c.source.describe(stored) for c in same])
    found = {**chosen.route.arguments, **stride(chosen.name, facts, best.arguments), **best.arguments}
    if best.count is not None:
        found["num_classes"] = best.count
    also = tuple(dict.fromkeys(t.candidate.name for t in whole if t.candidate.name != chosen.name))
    sources = tuple(c.source for c in same)
    return Recognised(sources, chosen.route, chosen.name, best.part, found, best.state, facts, also)


def source_named(name: str) -> Source:
    """The source of this name; an unknown one raises :class:`~baimu.errors.UnknownNameError`."""
    if name not in SOURCES:
        raise unknown("source of weights", name, SOURCES)
    return importlib.import_module(f"baimu.weights.{name}").SOURCE


def stride(name: str, facts: Facts, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The argument that puts a ResNet's stride where ``facts`` say, if ``name`` has it elsewhere by itself."""
    place, own = facts.arguments.get("stride_in_3x3"), outline(name, arguments).stride_in_3x3
    return {} if place is None or own is None or place == own else {"stride_in_3x3": place}


def _tables(stored: Stored, origin: str | None) -> list[_Table]:
    """Those that know any of the file's names, the best first. A few names tell which are worth a look at all."""
    sources = [source_named(name) for name in (SOURCES if origin is None else (origin,))]
    some = [*stored.tensors][:: max(1, len(stored.tensors) // FEW)]
    glimpsed = [_Table(known_share(some, route), source, route) for source in sources for route in source.routes]
    found = [table for table in glimpsed if table.known]
    most = max((table.known for table in found), default=0.0)
    found = [t._replace(known=known_share(stored.tensors, t.route)) if t.known >= LIKELY * most else t for t in found]
    if not found:
        raise CheckpointError(
            f"{stored.path}: 0% of its {len(stored.tensors)} names are known of {origin or ', '.join(SOURCES)}; "
            f"it has {', '.join([*stored.tensors][:4])} … "
            "Say whose file it is with origin=, or rename its parameters yourself"
        )
    return sorted(found, key=lambda table: -table.known)


def _candidates(stored: Stored, tables: list[_Table], as_: str | None) -> Iterator[_Candidate]:
    """Networks that it may be, the likeliest first; of the tables, those that know nearly as many names as the best."""
    names = [as_] if as_ else sorted(zoo.index(), key=lambda n: (len(n), n))
    served = [(table, fitting) for table in tables if (fitting := _served(table.route, names))]
    for known, equal in itertools.groupby(served, key=lambda row: row[0].known):
        if known < LIKELY * served[0][0].known:
            return
        found: list[_Candidate] = []
        for (_, source, route), fitting in equal:
            with contextlib.suppress(CheckpointError):  # two of its names become one: another's file
                state = renamed(stored.tensors, route)
                size = size_of({key: value.shape for key, value in state.items()})
                part = "backbone" if all(key.startswith(BACKBONE) for key in state) else "model"
                for name in fitting:  # a backbone alone is a classifier's, though detectors have it too
                    if part == "model" or as_ or zoo.model_info(name).task == "classification":
                        rank = (-known, abs(sizes().get(name, size) - size))
                        found.append(_Candidate(source, route, name, part, state, rank))
        yield from sorted(found, key=lambda candidate: candidate.rank)


def _served(route: Route, names: Iterable[str]) -> list[str]:
    return [name for name in names if re.fullmatch(route.models, name)]


def _tries(candidates: Iterable[_Candidate], given: dict[str, Any]) -> list[_Try]:
    """The file against one network after the other, until those of equal rank are done of which one has all of it."""
    tries: list[_Try] = []
    for _, equal in itertools.groupby(candidates, key=lambda c: c.rank):
        for candidate in equal:
            with contextlib.suppress(CheckpointError):  # it does not take the arguments
                tries.append(_attempt(candidate, given))
        if any(t.fit.whole for t in tries) or len(tries) >= MOST:
            break
    return tries


def _attempt(candidate: _Candidate, arguments: dict[str, Any]) -> _Try:
    """The class count of the file's heads is found out where the names are right. A classifier's file that lacks just
    what depends on it is a backbone and more.
    """
    arguments, route, part = {**candidate.route.arguments, **arguments}, candidate.route, candidate.part
    found, count = outline(candidate.name, arguments), None
    state = wanted(candidate.state, found.two, route)
    fit = compare(found.shapes(part=part), state, may_miss=route.may_miss)
    if part == "model" and not (fit.missing or fit.surplus):
        count = count_classes(found.axes, state)
        fit = compare(found.shapes(count), state, may_miss=route.may_miss)
    elif found.is_classifier and not fit.surplus and set(fit.missing) == {k for k in found.axes if k[:5] == "head."}:
        part = "backbone"
        fit = compare({key: found.two[key] for key in found.two if key in state}, state)
    return _Try(candidate, arguments, state, part, fit, count)


def _takes_scratch(name: str) -> bool:
    return "scratch" in inspect.signature(zoo.builder_of(name)).parameters


def _same(one: _Try, other: _Try) -> bool:
    """Whether two tables make the same of a file."""
    a, b = one.candidate, other.candidate
    values = a.state.keys() == b.state.keys() and all(a.state[key] is b.state[key] for key in a.state)
    return a.name == b.name and one.arguments == other.arguments and (a.route == b.route or values)


def _agreed(facts: list[Facts]) -> Facts:
    """What all of the sources say that the file may be of."""
    first, *others = facts
    arguments = {k: v for k, v in first.arguments.items() if all(f.arguments.get(k) == v for f in others)}
    preprocess = first.preprocess if all(f.preprocess == first.preprocess for f in others) else None
    return Facts(next((f.classes for f in facts if f.classes), None), preprocess, arguments)


def _refusal(stored: Stored, whose: str, tries: list[_Try], as_: str | None, given: dict[str, Any]) -> CheckpointError:
    if not tries:
        if as_:
            return CheckpointError(f"{stored.path}: {as_} has no table for weights of {whose}, whose file it is")
        return CheckpointError(f"{stored.path}: a file of {whose}, of which no network takes {', '.join(given)}")
    nearest = min(tries, key=lambda t: (len(t.fit.missing) + len(t.fit.surplus) + len(t.fit.shapes), -t.fit.share))
    chosen, own = nearest.candidate, outline(nearest.candidate.name, nearest.arguments)
    shapes = own.shapes(count_classes(own.axes, nearest.state), nearest.part)
    fit = compare(shapes, nearest.state, may_miss=chosen.route.may_miss)
    asked = f"it is not {as_}" if as_ else f"{chosen.name} is the nearest network here"
    return CheckpointError(
        f"{stored.path}: a file of {whose}, but {asked}.{fit.report()}\n"
        "  Nothing was loaded. A network with other numbers than the catalogue's needs its name and arguments: "
        "baimu.load(path, as_=name, …)"
    )
