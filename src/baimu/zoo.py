"""The catalogue of names. Listing reads a generated index and imports no method; building imports one file."""

from __future__ import annotations

import fnmatch
import functools
import importlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from baimu.errors import unknown

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
    """Names that match a shell pattern (``"fcos*"``), of one task if given, sorted."""
    return sorted(
        info.name for info in index().values() if fnmatch.fnmatchcase(info.name, pattern) and task in (None, info.task)
    )


def models(pattern: str = "*", *, task: str | None = None) -> list[ModelInfo]:
    """The catalogue's rows that match, sorted by name: what ``baimu models`` prints."""
    return [index()[name] for name in list_models(pattern, task=task)]


def _entry(name: str) -> tuple[ModelInfo, Callable[..., nn.Module], Recipe]:
    if name not in _built_in:
        if name not in index():
            raise unknown("model", name, index())
        importlib.import_module(index()[name].module)
    return _built_in[name]


def model_info(name: str) -> ModelInfo:
    """The catalogue's row of ``name``; an unknown name offers the nearest ones."""
    if name in _built_in:
        return _built_in[name][0]
    if name not in index():
        raise unknown("model", name, index())
    return index()[name]


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
    try:
        built = build(**arguments)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    plain = all(isinstance(v, bool | int | float | str | tuple | list | None) for v in arguments.values())
    setattr(built, "spec", (name, dict(arguments)) if plain else None)  # noqa: B010 - modules declare no spec
    return built


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
