"""Networks without their numbers: names, shapes and what else of a catalogue entry a file is compared with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Size, nn
from torch.overrides import TorchFunctionMode

from baimu import zoo
from baimu.errors import CheckpointError, UnknownNameError
from baimu.preprocess import Preprocess, imagenet
from baimu.weights.classes import ClassAxis, class_axes

Part = Literal["model", "backbone"]
"""The whole network, or the ``backbone.*`` of it."""
BACKBONE = "backbone."

_RANDOM = ("normal_", "uniform_", "trunc_normal_", "kaiming_", "xavier_", "orthogonal_", "dirac_")


class Unfilled(TorchFunctionMode):
    """Random initial values are left out inside: they take longer than all the rest, and nobody will see them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "").startswith(_RANDOM):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


class Outline:
    """A network's names and shapes, and what shapes do not tell."""

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._name, self._arguments = name, arguments
        model = self._build(2)
        self.is_classifier = zoo.model_info(name).task == "classification"
        self.preprocess: Preprocess = getattr(model, "preprocess", imagenet)
        self.stride_in_3x3: bool | None = getattr(getattr(model, "backbone", None), "stride_in_3x3", None)
        self.two = {key: value.shape for key, value in model.state_dict().items()}

    @functools.cached_property
    def axes(self) -> dict[str, ClassAxis]:
        """Of the parameters that depend on the class count."""
        return class_axes(self.two, {key: value.shape for key, value in self._build(3).state_dict().items()})

    def shapes(self, count: int | None = None, part: Part = "model") -> dict[str, Size]:
        """Shapes for ``count`` classes (``None``: two)."""
        if part == "backbone":
            return {key: shape for key, shape in self.two.items() if key.startswith(BACKBONE)}
        shapes = dict(self.two)
        for key, axis in self.axes.items() if count else ():
            shapes[key] = Size(axis.size(count or 2) if d == axis.dim else n for d, n in enumerate(shapes[key]))
        return shapes

    def _build(self, count: int) -> nn.Module:
        classes = {"num_classes": count} if takes_classes(self._name) else {}
        with torch.device("meta"), Unfilled():
            return build(self._name, {**self._arguments, **classes})


def takes_classes(name: str) -> bool:
    """Whether a catalogue entry is built for so many classes; makers of images have none."""
    return "num_classes" in inspect.signature(zoo.builder_of(name)).parameters


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network of a catalogue entry; :class:`~baimu.errors.CheckpointError` for arguments that it does not take."""
    try:
        return zoo.create_model(name, **arguments)
    except (TypeError, UnknownNameError) as error:
        raise CheckpointError(f"{name} cannot be built as these weights need it: {error}") from None


def outline(name: str, arguments: Mapping[str, Any]) -> Outline:
    """That of ``build(name, arguments)``, whatever its class count; kept for the next time."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items() if k != "num_classes"}
    return _outline(name, tuple(sorted(plain.items())))


@functools.cache
def _outline(name: str, arguments: tuple[tuple[str, Any], ...]) -> Outline:
    return Outline(name, dict(arguments))
