"""baimu: every method of computer vision in one readable library. Names load on first use; importing costs nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "create_model": "baimu.zoo",
    "list_models": "baimu.zoo",
    "model_info": "baimu.zoo",
    "models": "baimu.zoo",
    "Recipe": "baimu.recipes",
    "Detections": "baimu.results",
    "Classification": "baimu.results",
    "Explanation": "baimu.results",
    "Tracks": "baimu.results",
    "Segmentation": "baimu.results",
    "Picture": "baimu.results",
    "Preprocess": "baimu.preprocess",
    "train": "baimu.training.train",
    "Run": "baimu.training.run",
    "eval": "baimu.training.evaluate",
    "demo": "baimu.training.demo",
    "load": "baimu.weights.checkpoint",
    "convert": "baimu.weights.conversion",
    "export": "baimu.deploy.export",
    "bench": "baimu.deploy.bench",
    "Bench": "baimu.deploy.bench_results",
    "predict": "baimu.inference.predictor",
    "predict_many": "baimu.deploy.scale",
    "explain": "baimu.inference.explaining",
    "track": "baimu.inference.tracking",
    "index": "baimu.inference.searching",
    "search": "baimu.inference.searching",
    "serve": "baimu.deploy.serving.server",
    "data": "baimu.datasets.summary",
    "check_data": "baimu.datasets.doctor.check",
    "fix_data": "baimu.datasets.doctor.fix",
    "convert_data": "baimu.datasets.writing.convert",
    "view_data": "baimu.datasets.contact_sheet",
    "env": "baimu.environment",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from baimu.datasets.contact_sheet import view_data
    from baimu.datasets.doctor.check import check_data
    from baimu.datasets.doctor.fix import fix_data
    from baimu.datasets.summary import data
    from baimu.datasets.writing.convert import convert_data
    from baimu.deploy.bench import bench
    from baimu.deploy.bench_results import Bench
    from baimu.deploy.export import export
    from baimu.deploy.scale import predict_many
    from baimu.deploy.serving.server import serve
    from baimu.environment import env
    from baimu.inference.explaining import explain
    from baimu.inference.predictor import predict
    from baimu.inference.searching import index, search
    from baimu.inference.tracking import track
    from baimu.preprocess import Preprocess
    from baimu.recipes import Recipe
    from baimu.results import Classification, Detections, Explanation, Picture, Segmentation, Tracks
    from baimu.training.demo import demo
    from baimu.training.evaluate import eval
    from baimu.training.run import Run
    from baimu.training.train import train
    from baimu.weights.checkpoint import load
    from baimu.weights.conversion import convert
    from baimu.zoo import create_model, list_models, model_info, models


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'baimu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
