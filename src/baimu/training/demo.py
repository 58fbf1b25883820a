"""``baimu.demo``: a small detector learns to find drawn things, from random weights, in minutes on a laptop's CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baimu import zoo
from baimu.datasets.open import open_data
from baimu.training.run import Run
from baimu.training.train import train

MODEL = "fcos_r18_fpn"
ARGUMENTS: dict[str, Any] = {"scratch": True, "width": 128, "depth": 2, "center_radius": 1.5}
"""Half as wide and half as deep a head as the paper's: seven eighths of the work on so small pictures is the head's."""

DATA = "playground:train=1440,val=200,size=160,seed=0"
RECIPE: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 8,
    "optimizer": "adamw",
    "lr": 2e-3,
    "lr_batch_size": None,
    "weight_decay": 0.05,
    "bias_lr_factor": 1.0,
    "norm_decay": False,
    "schedule": "cosine",
    "warmup": "linear",
    "warmup_start": 0.01,
    "warmup_steps": 100,
    "clip_norm": 10.0,
    "ema_decay": 0.995,
    "size": 160,
    "max_size": 160,
    "precision": "bf16",
    "eval_every": 6,
    "workers": 1,
}


def demo(out: str | Path = "runs/demo", **changes: Any) -> Run:
    """Train ``MODEL`` on drawn scenes, score it on 200 others, and write a run folder with pictures and report.

    ``changes`` are recipe fields. ``out`` gets a number where such a run stands already: nothing is overwritten.
    """
    splits = open_data(DATA)
    model = zoo.create_model(MODEL, num_classes=len(splits.train.classes), **ARGUMENTS)
    run = train(model, splits, out=_free(Path(out)), **{**RECIPE, **changes})
    print(f"{run}\nfound   {run.folder / 'predictions.png'}, truth at the left of each pair")
    return run


def _free(out: Path) -> Path:
    number, folder = 1, out
    while folder.is_dir() and any(folder.iterdir()):
        number += 1
        folder = out.with_name(f"{out.name}-{number}")
    return folder
