"""Methods that users look for on a model and whose work is done elsewhere: a model class takes them as its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from baimu.layers.fold import optimize as fold_optimize

if TYPE_CHECKING:
    from baimu.results.result import Result

Model = TypeVar("Model", bound=nn.Module)


def predict(self: nn.Module, source: Any, **options: Any) -> list[Result] | Iterable[Result]:
    """What the model says of files, folders, arrays or video; ``options`` as for :func:`baimu.predict`."""
    from baimu.inference.predictor import predict as predict_with

    return predict_with(self, source, **options)


def optimize(self: Model, **options: Any) -> Model:
    """A copy for inference: norms folded, channels-last, fused; ``precision="bf16"`` and ``compile=True`` as of
    :func:`baimu.layers.fold.optimize`."""
    return fold_optimize(self, **options)
