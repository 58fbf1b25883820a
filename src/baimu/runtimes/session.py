"""The runtimes that execute exported graphs, by the endings of their files."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

from torch import Tensor

from baimu.errors import BaimuError, unknown
from baimu.runtimes.card import Card


class Session(Protocol):
    """A graph that is ready to run."""

    card: Card

    def run(self, *inputs: Tensor) -> Sequence[Tensor]:
        """Its tensors, in the order of ``card.outputs``."""
        ...


class Runtime(NamedTuple):
    """A format and what executes it; the module has ``save`` and ``open_session``."""

    module: str
    suffix: str
    packages: tuple[str, ...]  # that must be importable
    extra: str = ""  # of baimu, which installs them


RUNTIMES = {
    "onnx": Runtime("onnx", ".onnx", ("onnxruntime",), "onnx"),
    "openvino": Runtime("openvino", ".xml", ("openvino",), "openvino"),
    "torch": Runtime("torch_export", ".pt2", ()),
    "aotinductor": Runtime("aotinductor", ".aoti.pt2", ()),
    "torchscript": Runtime("torchscript", ".torchscript", ()),
    "mnn": Runtime("mnn", ".mnn", ("MNN",), "mnn"),
}
"""By the name of the format."""


WRITERS = ("onnx", "onnxscript")
"""Packages by which what goes through ONNX is written; to open such files they are not needed."""


def module_of(name: str, *, write: bool = False) -> ModuleType:
    """What opens and, asked for ``write``, writes the format ``name``.

    Raises :class:`~baimu.errors.BaimuError` with the line that installs its runtime where that is absent.
    """
    if name not in RUNTIMES:
        raise unknown("format", name, RUNTIMES)
    runtime = RUNTIMES[name]
    for package in (*runtime.packages, *(WRITERS if write and runtime.extra else ())):
        if not is_installed(package):
            raise BaimuError(f"{name} needs {package}; install it with: pip install 'baimu[{runtime.extra}]'")
    return importlib.import_module(f"baimu.runtimes.{runtime.module}")


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def format_of(path: str | Path) -> str | None:
    """The format that the ending of ``path`` stands for; ``None`` for that of no exported file."""
    name = Path(path).name
    fitting = [key for key, runtime in RUNTIMES.items() if name.endswith(runtime.suffix)]
    return max(fitting, key=lambda key: len(RUNTIMES[key].suffix), default=None)
