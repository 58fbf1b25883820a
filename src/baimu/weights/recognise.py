"""Whose checkpoint a file is, and of which network: by its names and shapes.

Each source is known by names that only it writes; the network is the one of the catalogue, built on the meta device,
whose names and shapes are all met. What shapes cannot show (where a ResNet halves its maps) is the file's own word, or
an argument, or an assumption that is said aloud.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Size, nn

from baimu import zoo
from baimu.errors import CheckpointError, unknown
from baimu.weights.classes import ClassAxis, class_axes, count_classes
from baimu.weights.fit import Fit, compare
from baimu.weights.keys import Facts, Route, Source, State, renamed

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

SOURCES = ("openmmlab", "torchvision", "detectron2", "detr", "huggingface", "timm")
"""Modules of this room; of two that know a file, the earlier answers."""
LIKELY = 0.8  # share from which a network is also tried in its other forms


class Outline:
    """Names and shapes of a network, without its numbers."""

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._name, self._arguments = name, arguments
        model = self._build(2)
        self.stride_in_3x3: bool | None = getattr(getattr(model, "backbone", model), "stride_in_3x3", None)
        self.two = {key: value.shape for key, value in model.state_dict().items()}

    @functools.cached_property
    def axes(self) -> dict[str, ClassAxis]:
        """Of the parameters that depend on the class count."""
        if self._name in backbones():
            return {}
        return class_axes(self.two, {key: value.shape for key, value in self._build(3).state_dict().items()})

    def shapes(self, count: int | None = None) -> dict[str, Size]:
        """Shapes for ``count`` classes (``None``: two)."""
        shapes = dict(self.two)
        for key, axis in self.axes.items() if count else ():
            shapes[key] = Size(axis.size(count or 2) if d == axis.dim else n for d, n in enumerate(shapes[key]))
        return shapes

    def _build(self, count: int) -> nn.Module:
        classes = {} if self._name in backbones() else {"num_classes": count}
        with torch.device("meta"):
            return build(self._name, {**self._arguments, **classes})


@dataclass(frozen=True)
class Recognised:
    """What a foreign file turned out to be."""

    source: Source
    route: Route
    name: str  # of the catalogue, or a backbone's
    arguments: dict[str, Any]  # of that name, with num_classes unless it is a backbone
    state: State  # under our names
    facts: Facts
    also: tuple[str, ...] = ()  # other names that it fits as well


@dataclass(frozen=True)
class _Try:
    source: Source
    route: Route
    name: str
    arguments: dict[str, Any]
    state: State
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
    if as_ is not None and as_ not in (*zoo.index(), *backbones()):
        raise unknown("model", as_, (*zoo.index(), *backbones()))
    sources = _sources(stored, origin)
    given = dict(arguments or {})
    likely = _likely_routes(stored, sources, as_)
    tries = _attempts([(source, route, state, name) for source, route, state, names in likely for name in names], given)
    whole = [t for t in tries if t.fit.whole]
    if not whole:
        near = [t for t in tries if t.fit.share >= LIKELY and t.name not in backbones()]
        again = [(t.source, t.route, t.state, t.name) for t in near]
        whole = [t for t in _attempts(again, {"scratch": True, **given}) if t.fit.whole]
    if not whole:
        raise _refusal(stored, sources, tries, as_, given)
    best = whole[0]
    facts = best.source.describe(stored)
    found = {**best.route.arguments, **stride(best.name, facts, best.arguments), **best.arguments}
    if best.name not in backbones():
        found["num_classes"] = best.count
    also = tuple(t.name for t in whole[1:] if t.name != best.name)
    return Recognised(best.source, best.route, best.name, found, best.state, facts, also)


@functools.cache
def backbones() -> dict[str, Any]:
    """The functions that build a backbone alone, by name."""
    from baimu.backbones import resnet

    public = {name: made for name, made in vars(resnet).items() if inspect.isfunction(made) and name[0] != "_"}
    return {name: made for name, made in public.items() if made.__module__ == resnet.__name__}


def source_named(name: str) -> Source:
    """The source of this name; an unknown one raises :class:`~baimu.errors.UnknownNameError`."""
    if name not in SOURCES:
        raise unknown("source of weights", name, SOURCES)
    return importlib.import_module(f"baimu.weights.{name}").SOURCE


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network of a catalogue entry, or a backbone."""
    try:
        return backbones()[name](**arguments) if name in backbones() else zoo.create_model(name, **arguments)
    except TypeError as error:
        raise CheckpointError(f"{name} cannot be built as these weights need it: {error}") from None


def outline(name: str, arguments: Mapping[str, Any]) -> Outline:
    """Names and shapes of ``build(name, arguments)``, whatever its class count; kept for the next time."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items() if k != "num_classes"}
    return _outline(name, tuple(sorted(plain.items())))


@functools.cache
def _outline(name: str, arguments: tuple[tuple[str, Any], ...]) -> Outline:
    return Outline(name, dict(arguments))


def stride(name: str, facts: Facts, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The argument that puts a ResNet's stride where ``facts`` say, if ``name`` has it elsewhere by itself."""
    wanted, own = facts.arguments.get("stride_in_3x3"), outline(name, arguments).stride_in_3x3
    return {} if wanted is None or own is None or wanted == own else {"stride_in_3x3": wanted}


def _sources(stored: Stored, origin: str | None) -> list[Source]:
    if origin is not None:
        return [source_named(origin)]
    known = [source_named(name) for name in SOURCES]
    found = [s for s in known if any(re.search(mark, key) for mark in s.marks for key in stored.tensors)]
    if not found:
        raise CheckpointError(
            f"{stored.path}: 0% of its {len(stored.tensors)} names are known of {', '.join(SOURCES)}; "
            f"it has {', '.join([*stored.tensors][:4])} … "
            "Say whose file it is with origin=, or rename its parameters yourself"
        )
    return found


def _likely_routes(
    stored: Stored, sources: list[Source], as_: str | None
) -> list[tuple[Source, Route, State, list[str]]]:
    """Routes with the file's state under our names and the networks they serve, but for the routes whose first
    network has far fewer of these names than another's: to build all networks would take seconds."""
    names = [as_] if as_ else [*sorted(zoo.index(), key=lambda n: (len(n), n)), *backbones()]
    served = [
        (source, route, [name for name in names if re.fullmatch(route.models, name)])
        for source in sources
        for route in source.routes
    ]
    found = []
    for source, route, own in served:
        if own:
            state = renamed(stored.tensors, route)
            has, wants = _without_numbers(state), _without_numbers(outline(own[0], route.arguments).two)
            found.append((len(has & wants) / len(has | wants), (source, route, state, own)))
    most = max((share for share, _ in found), default=0)
    return [state for share, state in found if share >= LIKELY * most]


def _without_numbers(keys: Iterable[str]) -> set[str]:
    return {re.sub(r"\.\d+(?=\.|$)", ".0", key) for key in keys}


def _attempts(networks: Iterable[tuple[Source, Route, State, str]], given: dict[str, Any]) -> list[_Try]:
    """The file against every one of the networks that takes the arguments ``given``."""
    tries = []
    for source, route, state, name in networks:
        with contextlib.suppress(CheckpointError):
            tries.append(_attempt(source, route, state, name, given))
    return tries


def _attempt(source: Source, route: Route, state: State, name: str, arguments: dict[str, Any]) -> _Try:
    arguments = {**route.arguments, **arguments}
    found = outline(name, arguments)
    fit, count = compare(found.two, state, may_miss=route.may_miss), None
    if not (fit.missing or fit.surplus):
        count = count_classes(found.axes, state)
        fit = compare(found.shapes(count), state, may_miss=route.may_miss)
    return _Try(source, route, name, arguments, state, fit, count)


def _refusal(
    stored: Stored, sources: list[Source], tries: list[_Try], as_: str | None, given: dict[str, Any]
) -> CheckpointError:
    whose = " or ".join(source.name for source in sources)
    if not tries and as_ and any(re.fullmatch(route.models, as_) for source in sources for route in source.routes):
        build(as_, given)  # tells which argument it does not take
    if not tries:
        if as_:
            return CheckpointError(f"{stored.path}: {as_} has no table for weights of {whose}, whose file it is")
        return CheckpointError(f"{stored.path}: a file of {whose}, of which no network takes {', '.join(given)}")
    nearest = min(tries, key=lambda t: (len(t.fit.missing) + len(t.fit.surplus) + len(t.fit.shapes), -t.fit.share))
    own = outline(nearest.name, nearest.arguments)
    shapes = own.shapes(count_classes(own.axes, nearest.state))
    fit = compare(shapes, nearest.state, may_miss=nearest.route.may_miss)
    asked = f"it is not {as_}" if as_ else f"{nearest.name} is the nearest network here"
    return CheckpointError(
        f"{stored.path}: a file of {whose}, but {asked}.{fit.report()}\n"
        "  Nothing was loaded. A network with other numbers than the catalogue's needs its name and arguments: "
        "baimu.load(path, as_=name, …)"
    )
