"""The ways to run a model that :func:`~baimu.deploy.optimizing.optimize` tries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from baimu.errors import unknown
from baimu.layers.fold import optimize as fold_optimize

Precision = Literal["fp32", "bf16", "int8"]
Build = Callable[[Any, Any], Any]
"""The model and the user's images (or None) → what runs in its place, with the same methods."""

MINUTES = 150.0
"""Seconds that must be left for a compiler to be worth beginning."""


class Candidate(NamedTuple):
    """A way to run a model."""

    name: str
    precision: Precision
    build: Build
    extra: str = ""  # of baimu, without which it cannot be
    packages: tuple[str, ...] = ()  # that the extra installs
    seconds: float = 0.0  # that must be left

    def __str__(self) -> str:
        return self.name if self.precision == "fp32" else f"{self.name} {self.precision}"


def in_torch(model: Any, images: Any, **options: Any) -> Any:
    """A copy of the model, its forward torch's."""
    del images
    return fold_optimize(model, **options)


def exported(model: Any, images: Any, *, format: str, precision: Precision) -> Any:
    """The model in another runtime. Its file lives as long as it does."""
    from baimu.deploy.export import export
    from baimu.runtimes.exported import open_exported

    folder = tempfile.TemporaryDirectory(prefix="baimu-optimize-")
    path = Path(folder.name) / f"model{_SUFFIXES[format]}"
    written = export(model, path, format=format, precision=precision, images=images, verify=False)
    found = open_exported(written)
    found.folder = folder
    return found


_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


def _torch(name: str, *precisions: Precision, seconds: float = 0.0, **options: Any) -> list[Candidate]:
    return [
        Candidate(name, precision, partial(in_torch, precision=precision, **options), seconds=seconds)
        for precision in precisions
    ]


def _runtime(format: str, packages: Sequence[str], *precisions: Precision) -> list[Candidate]:
    return [
        Candidate(
            format,
            precision,
            partial(exported, format=format, precision=precision),
            extra=format,
            packages=(*packages, *(("nncf",) if format == "openvino" and precision == "int8" else ())),
        )
        for precision in precisions
    ]


CANDIDATES: tuple[Candidate, ...] = (
    *_torch("folded", "fp32", "bf16", linears=None, pack=False),
    *_torch("packed", "fp32", "bf16", linears=None),
    *_torch("onednn", "fp32", "bf16", linears="onednn"),
    *_torch("mkl", "fp32", linears="mkl"),
    *_torch("winograd", "fp32", linears="mkl", winograd=True),
    *_runtime("openvino", ("openvino",), "fp32", "bf16", "int8"),
    *_runtime("onnx", ("onnx", "onnxruntime", "onnxscript"), "fp32", "int8"),
    *_torch("compiled", "fp32", "bf16", compile=True, seconds=MINUTES),
)
"""In the order in which they are tried, which is that of the time they take to build."""

ALLOWED: dict[str, tuple[str, ...]] = {"fp32": ("fp32",), "bf16": ("bf16", "fp32"), "int8": ("int8", "bf16", "fp32")}
"""Precisions that are tried where this is the lowest."""


def candidates_for(precision: Precision, names: Sequence[str] | None) -> list[Candidate]:
    """Those of ``names`` (None: all), of the precision asked for first, then of the higher ones.

    Raises :class:`~baimu.errors.UnknownNameError` for a name or precision that there is not.
    """
    if precision not in ALLOWED:
        raise unknown("precision", precision, ALLOWED)
    known = {one.name for one in CANDIDATES}
    for name in names or ():
        if name not in known:
            raise unknown("candidate", name, known)
    fitting = [
        one for one in CANDIDATES if one.precision in ALLOWED[precision] and (names is None or one.name in names)
    ]
    return sorted(fitting, key=lambda one: ALLOWED[precision].index(one.precision))
