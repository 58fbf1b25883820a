"""The catalogue of names. Listing reads a generated index and imports no method; building imports one file."""

from __future__ import annotations

import fnmatch
import functools
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from baimu.errors import ArgumentError, BaimuError, UnknownNameError, unknown

if TYPE_CHECKING:
    from torch import nn

    from baimu.preprocess import Preprocess
    from baimu.recipes import Recipe

ROOMS = (
    "backbones", "classification", "detection", "instance_segmentation", "semantic_segmentation", "generation",
    "embedding", "tracking", "text",
)  # fmt: skip
"""Packages whose files may register names."""

Build = TypeVar("Build", bound="Callable[..., nn.Module]")


@dataclass(frozen=True)
class ModelInfo:
    """What the catalogue knows of a name without building it."""

    name: str
    module: str
    task: str
    paper: str  # arXiv id, or the conference of one that is not there
    title: str  # first line of the name function's docstring
    reported: dict[str, float] = field(default_factory=dict)  # published figures, by metric


_built_in: dict[str, tuple[ModelInfo, Callable[..., nn.Module], Recipe]] = {}


def model(
    name: str, *, task: str, paper: str, recipe: Recipe, reported: dict[str, float] | None = None
) -> Callable[[Build], Build]:
    """Put the decorated name function into the catalogue, with its paper, recipe and published figures."""

    def register(build: Build) -> Build:
        title = (inspect.getdoc(build) or "").partition("\n")[0]
        info = ModelInfo(name, build.__module__, task, paper, title, reported or {})
        _built_in[name] = (info, build, recipe)
        return build

    return register


def backbone(
    *,
    paper: str,
    recipe: Recipe,
    preprocess: Preprocess | None = None,
    reported: dict[str, float] | None = None,
) -> Callable[[Build], Build]:
    """Put the classifier that the decorated backbone makes into the catalogue, under the function's own name.

    Options of the name are those of :class:`~baimu.classification.classifier.Classifier`, and of the function.
    ``preprocess`` (ImageNet's mean and deviation) takes its sizes from ``recipe``.
    """

    def register(build: Build) -> Build:
        def make(num_classes: int = 1000, **options: Any) -> nn.Module:
            room = importlib.import_module("baimu.classification.classifier")
            return room.make_classifier(build, recipe, preprocess, num_classes, options)

        title = (inspect.getdoc(build) or "").partition("\n")[0]
        name = getattr(build, "__name__", "")
        info = ModelInfo(name, build.__module__, "classification", paper, title, reported or {})
        _built_in[name] = (info, make, recipe)
        return build

    return register


@functools.cache
def index() -> dict[str, ModelInfo]:
    """Every name, from the generated ``zoo.json`` (made by ``python -m baimu.zoo``; a test keeps it true)."""
    rows = json.loads(resources.files("baimu").joinpath("zoo.json").read_text(encoding="utf-8"))
    return {row["name"]: ModelInfo(**row) for row in rows}


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """Names that match a shell pattern (``"fcos*"``), of one task if given, sorted. Raises for an unknown task."""
    tasks = {info.task for info in index().values()}
    if task is not None and task not in tasks:
        raise unknown("task", task, tasks)
    return sorted(
        info.name for info in index().values() if fnmatch.fnmatchcase(info.name, pattern) and task in (None, info.task)
    )


def models(pattern: str = "*", *, task: str | None = None) -> list[ModelInfo]:
    """The catalogue's rows that match, sorted by name: what ``baimu models`` prints."""
    return [index()[name] for name in list_models(pattern, task=task)]


def _entry(name: str) -> tuple[ModelInfo, Callable[..., nn.Module], Recipe]:
    if name not in _built_in:
        if name not in index():
            raise _unknown(name)
        importlib.import_module(index()[name].module)
    return _built_in[name]


def model_info(name: str) -> ModelInfo:
    """The catalogue's row of ``name``; an unknown name offers the nearest ones."""
    if name in _built_in:
        return _built_in[name][0]
    if name not in index():
        raise _unknown(name)
    return index()[name]


def _unknown(name: str) -> UnknownNameError:
    return unknown("model", name, index(), listed="baimu models, which lists all")


def recipe_of(name: str) -> Recipe:
    """The training recipe that ``name`` was published with."""
    return _entry(name)[2]


def builder_of(name: str) -> Callable[..., nn.Module]:
    """The name function itself, whose signature says which arguments ``name`` takes."""
    return _entry(name)[1]


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Build a model by name: ``create_model("fcos_r50_fpn", num_classes=3)``.

    Arguments are those of the name function. Those that are plain values are recorded as ``model.spec = (name,
    arguments)``, so that a checkpoint can rebuild the model; a part passed as an object makes ``spec`` ``None``.
    """
    _, build, _ = _entry(name)
    accepted = {k: p for k, p in inspect.signature(build).parameters.items() if p.kind is not p.VAR_KEYWORD}
    takes_more = len(accepted) < len(inspect.signature(build).parameters)
    for key in arguments:
        if key not in accepted and not takes_more:
            raise unknown(f"argument of {name}", key, accepted)
    classes = arguments.get("num_classes", 1)
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise ArgumentError(f"{name}: num_classes={classes!r}: give a whole number")
    try:
        built = build(**arguments)
    except (TypeError, ValueError) as error:
        if isinstance(error, BaimuError):
            raise
        strange = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if strange and strange[1] in arguments:
            raise unknown(f"argument of {name}", strange[1], _arguments_of(build)) from None
        raise ArgumentError(f"{name}: {error}") from error
    plain = all(isinstance(v, bool | int | float | str | tuple | list | None) for v in arguments.values())
    setattr(built, "spec", (name, dict(arguments)) if plain else None)  # noqa: B010 - modules declare no spec
    return built


def _arguments_of(build: Callable[..., Any]) -> list[str]:
    """What a name function takes: its own arguments, and where it passes more on, those of the model or the backbone
    that its annotation says it returns, and of the classifier that is made of a backbone."""
    made_of = inspect.getclosurevars(build).nonlocals.get("build")
    makers = [build] if made_of is None else [build, made_of]
    for maker in list(makers):
        kind = inspect.signature(maker).return_annotation
        kind = vars(sys.modules[maker.__module__]).get(kind) if isinstance(kind, str) else kind
        makers += [kind] if inspect.isclass(kind) else []
    if made_of is not None:
        makers.append(importlib.import_module("baimu.classification.classifier").Classifier)
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = (p for maker in makers for p in inspect.signature(maker).parameters.values())
    return sorted({p.name for p in found if p.kind not in several})


def _collect() -> list[dict[str, Any]]:
    """Import every module that could hold a name and list what they registered."""
    import pkgutil

    for room in ROOMS:
        package = importlib.import_module(f"baimu.{room}")
        for found in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"baimu.{room}.{found.name}")
    infos = [_built_in[name][0] for name in sorted(_built_in)]
    return [asdict(info) for info in infos if info.module.startswith("baimu.")]


if __name__ == "__main__":
    from pathlib import Path

    from baimu.zoo import _collect as collect  # this file as the module that the decorators filled, not as __main__

    Path(__file__).with_name("zoo.json").write_text(json.dumps(collect(), indent=1) + "\n", encoding="utf-8")
