"""Methods that users look for on a model and whose work is done elsewhere: a model class takes them as its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import nn

from baimu.layers.fold import optimize as fold_optimize

if TYPE_CHECKING:
    from baimu.results.result import Result


def predict(self: nn.Module, source: Any, **options: Any) -> list[Result] | Iterable[Result]:
    """What the model says of files, folders, arrays or video; ``options`` as for :func:`baimu.predict`."""
    from baimu.inference.predictor import predict as predict_with

    return predict_with(self, source, **options)


def optimize(self: nn.Module, sample: Any = None, *, compile: bool | str | None = None, **options: Any) -> Any:
    """The fastest way to run the model on this machine that says what it says: see
    :func:`baimu.deploy.optimizing.optimize`, whose arguments these are. It measures, and prints what it chose.

    With ``compile`` (True, False or a backend's name) nothing is measured: a folded copy with these options, always
    the same, as of :func:`baimu.layers.fold.optimize`.
    """
    if compile is not None:
        return fold_optimize(self, compile=compile, **options)
    from baimu.deploy.optimizing import optimize as choose

    return choose(self, sample, **options)
