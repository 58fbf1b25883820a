"""Every family learns: one network of each, a short training on Fashion-MNIST, far above chance (0.1).

    python benchmarks/families.py --data ../shared/data/fashion_mnist --out benchmarks/results/families.json

From random weights, 60 steps of 64 images of 28 x 28 by ``baimu.train``, scored on 1,000 images of the test file; norms
take the statistics of 20 batches before that, for some have a momentum of 0.01.
Figures are added to those in the file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from baimu import train
from baimu.datasets.open import open_data
from baimu.datasets.source import Splits

NAMES = (
    "resnet18", "resnet18_v1d", "resnext50_32x4d", "res2net50_26w_4s", "resnest14", "googlenet", "inception_v3",
    "inception_v4", "inception_resnet_v2", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "seresnet50",
    "squeezenet1_1", "shufflenet_v1_x1_0", "shufflenet_v2_x1_0", "efficientnet_b0", "hrnet_w18_small", "vgg11_bn",
    "darknet19", "darknet53", "cspdarknet53", "dla34",
)  # fmt: skip
IMAGES, HELD_OUT, BATCH = 3840, 1000, 64
RECIPE: dict[str, Any] = {
    "epochs": 1, "batch_size": BATCH, "optimizer": "adamw", "lr": 1e-3, "lr_batch_size": None, "momentum": None,
    "square_momentum": None, "optimizer_eps": None, "weight_decay": 0.05, "warmup_steps": 8, "warmup_start": 0.01,
    "warmup": "linear", "schedule": "cosine", "precision": "bf16", "crop_padding": 0, "ema_decay": 0.0, "workers": 0,
    "precise_bn_batches": 20,
}  # fmt: skip

PASSES = {"squeezenet1_1": 6}
"""Epochs of a network without norms, which takes its time to begin; of the others one."""


def learned(name: str, data: Splits) -> dict[str, float]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = train(name, data, out=Path(folder) / name, **{**RECIPE, "epochs": PASSES.get(name, 1)})
        return {"top1": run.scores["top1"], "loss": run.history[-1]["loss"], "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/families.json"))
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    whole = open_data(options.data, kind="classification")
    data = Splits(whole.train.select(range(IMAGES)), whole.val.select(range(HELD_OUT)))
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only or NAMES:
        results[name] = learned(name, data)
        print(f"| `{name}` | {results[name]['top1']:.3f} | {results[name]['seconds']:.0f} |", flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
