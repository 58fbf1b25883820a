"""Trained parameters, whoever trained them, under our names: building their network, and starting another from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess
from baimu.weights.classes import ClassAxis, move_rows
from baimu.weights.keys import COUNTERS, Facts, State
from baimu.weights.outline import Part, build, outline, takes_classes
from baimu.weights.recognise import stride


@dataclass(frozen=True)
class Trained:
    """A state dict under our names and what a network needs to have it."""

    path: Path
    origin: str  # "baimu", or the source of weights
    name: str | None  # of the catalogue; None where the file could not name it
    arguments: dict[str, Any]  # of that name
    state: State  # of that network, or of its backbone, under the whole network's names
    classes: tuple[str, ...]  # empty for a backbone
    preprocess: Preprocess
    part: Part = "model"  # of the network that is here
    may_miss: tuple[str, ...] = (COUNTERS,)  # regexes of names that it may lack
    assumed: tuple[str, ...] = ()  # what nobody said, in words
    licence: str = ""  # SPDX, of published weights

    def build(self, classes: int | None = None) -> Any:
        """The whole network with fresh parameters; for another class count if given."""
        if self.name is None:
            raise CheckpointError(
                f"{self.path}: the run began with a model object, so the file cannot name it; "
                "build the same object and pass it: baimu.load(path, model=…)"
            )
        other = {"num_classes": classes} if classes is not None and takes_classes(self.name) else {}
        return build(self.name, {**self.arguments, **other})

    @property
    def axes(self) -> dict[str, ClassAxis]:
        """Of the parameters here that depend on the class count."""
        known = {} if self.name is None else outline(self.name, self.arguments).axes
        return {key: axis for key, axis in known.items() if key in self.state}

    def arguments_for(self, name: str) -> dict[str, Any]:
        """Arguments by which another run's network of ``name`` can start from these parameters."""
        if name == self.name:
            return {k: v for k, v in self.arguments.items() if k != "num_classes"}
        if self.name is None:
            return {}
        place = outline(self.name, self.arguments).stride_in_3x3
        facts = Facts(arguments={} if place is None else {"stride_in_3x3": place})
        return stride(name, facts, {})


@dataclass(frozen=True)
class Adopted:
    """What a network took of trained parameters."""

    fresh: list[str]  # parameters that keep the values they had
    kept: list[str]  # classes whose rows came along, if rows had to be moved
    new: list[str]  # classes without trained rows
    left: Sequence[str] = ()  # parameters of the file that the network has no place for

    def words(self) -> str:
        """Both in a line; empty where everything came along."""
        said = []
        if self.kept:
            said.append(f"classes that come along by name: {_list(self.kept)}")
        if self.new:
            said.append(f"classes that start fresh: {_list(self.new)}")
        if self.fresh:
            said.append(f"fresh: {_list(self.fresh)}")
        if self.left:
            said.append(f"left out, for no classifier follows: {_list(self.left)}")
        return "; ".join(said)


def adopt(model: Any, trained: Trained) -> Adopted:
    """Copy what fits of ``trained`` into ``model``, the rows of its heads by the names of ``model.classes``.

    Rows stay where they are if nobody named the trained classes and there are as many. Raises
    :class:`~baimu.errors.CheckpointError`, with the share, if nothing fits.
    """
    own: dict[str, Tensor] = model.state_dict()
    state, kept, new = trained.state, [], ()
    heads = {key: axis for key, axis in trained.axes.items() if key in own}
    if heads and not same_classes(trained, model.classes):
        old = [name if is_named(name) else "" for name in trained.classes]
        kept, new = [name for name in model.classes if name in old], model.classes
        state = move_rows(state, own, heads, old, new)
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise CheckpointError(
            f"{trained.path}: 0% fits, not one of its {len(state)} tensors; use a checkpoint of the same method"
        )
    model.load_state_dict(fitting, strict=False)
    left = [key for key in own if key not in fitting or (key in heads and not kept)]
    return Adopted([k for k in left if not re.search(COUNTERS, k)], kept, [name for name in new if name not in kept])


def same_classes(trained: Trained, classes: Sequence[str]) -> bool:
    """Whether rows can stay where they are: the same names, or as many and nobody named the trained ones."""
    unnamed = not any(map(is_named, trained.classes))
    return tuple(classes) == trained.classes or (unnamed and len(classes) == len(trained.classes))


def is_named(name: str) -> bool:
    """Whether a class name was given by someone: not a number that stands for one, nor an output without a class."""
    return re.fullmatch(r"(class|unused) \d+", name) is None


def wanted_classes(trained: Trained, classes: Sequence[str] | int | None) -> tuple[str, ...]:
    """Class names for a model: those given, or as many as given, or the file's own."""
    if classes is None or classes == len(trained.classes):
        return trained.classes
    return tuple(f"class {i}" for i in range(classes)) if isinstance(classes, int) else tuple(classes)


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names[:4])}{', …' if len(names) > 4 else ''} ({len(names)})"
