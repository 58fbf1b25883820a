"""The optimisers and penalties of the recipes on one real task: 6,000 images of Fashion-MNIST, 106 thousand parameters.

python benchmarks/optimisers.py --data ../shared/data/fashion_mnist

Every optimiser starts from the same weights, sees the same batches and has three constant rates: a third of its usual
one, that, and three times it. Writes the figures, and the picture and tables of docs/optimisation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.datasets.formats.idx import read_array
from baimu.draw.charts import figure, legend, save, styled
from baimu.layers.gates import remove_gates
from baimu.recipes import OPTIMIZERS, Recipe
from baimu.training.optimizers import build_optimizer
from baimu.training.penalties import build_penalties, gate_weights

IMAGES, BATCH, EPOCHS, PENALTY_EPOCHS = 6000, 64, 5, 12
FACTORS = (0.3, 1.0, 3.0)
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd, momentum=0": {"optimizer": "sgd", "momentum": 0},
    **{name: {"optimizer": name} for name in OPTIMIZERS},
}
PENALTIES: dict[str, dict[str, Any]] = {
    "none": {},
    "weight_decay=1e-3": {"weight_decay": 1e-3},
    "l2=1e-3": {"l2": 1e-3},
    "l1=1e-4": {"l1": 1e-4},
    "l0=3e-6": {"l0": 3e-6},
}
COLOURS = (
    "#9ca3af", "#22262b", "#b45309", "#e11d48", "#f472b6", "#7c3aed", "#a78bfa", "#1d4ed8", "#38bdf8", "#0f766e",
    "#84cc16", "#f59e0b",
)  # fmt: skip

Set = tuple[Tensor, Tensor]


def load(folder: Path) -> tuple[Set, Set]:
    """The first training images and all test images, as (N, 1, 28, 28) in 0…1, and their labels."""
    sets = []
    for name, count in (("train", IMAGES), ("t10k", None)):
        pixels = torch.from_numpy(read_array(folder / f"{name}-images-idx3-ubyte.gz")[:count].copy())
        labels = torch.from_numpy(read_array(folder / f"{name}-labels-idx1-ubyte.gz")[:count].copy())
        sets.append((pixels[:, None].float() / 255, labels.long()))
    return sets[0], sets[1]


def network() -> nn.Sequential:
    """Two convolutions and two linear layers, without a norm, which would hide differences of the optimisers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def train(net: nn.Module, recipe: Recipe, data: Set, judge: Callable[[nn.Module], float]) -> dict[str, Any]:
    """Mean training loss of each quarter of an epoch, test accuracy after each epoch."""
    gate_weights(net, recipe)
    named = dict(net.named_parameters())
    optimizer, penalties = build_optimizer(net, named, recipe), build_penalties(net, named, recipe)
    order, losses, scores = torch.Generator().manual_seed(1), [], []
    for _ in range(recipe.epochs):
        entropies = []
        for chosen in torch.randperm(IMAGES, generator=order).split(BATCH):
            entropy = F.cross_entropy(net(data[0][chosen]), data[1][chosen])
            optimizer.zero_grad()
            (entropy + sum(penalties().values() if penalties else ())).backward()
            optimizer.step()
            entropies.append(entropy.item())
        losses += [float(np.mean(part)) for part in np.array_split(entropies, 4)]
        scores.append(judge(net))
    return {"losses": losses, "scores": scores}


def judged_on(test: Set) -> Callable[[nn.Module], float]:
    def judge(net: nn.Module) -> float:
        with torch.inference_mode():
            found = torch.cat([net.eval()(images).argmax(1) for images in test[0].split(1000)])
        net.train()
        return (found == test[1]).float().mean().item()

    return judge


def compare_optimisers(data: Set, test: Set) -> dict[str, Any]:
    results = {}
    for name, fields in VARIANTS.items():
        usual = OPTIMIZERS[fields["optimizer"]].lr
        runs = {}
        for factor in FACTORS:
            recipe = Recipe(**fields, lr=usual * factor, lr_batch_size=None, weight_decay=0, epochs=EPOCHS)
            runs[f"{usual * factor:g}"] = train(network(), recipe, data, judged_on(test))
        best = max(runs, key=lambda rate: runs[rate]["scores"][-1])
        results[name] = {"usual": usual, "best": best, "runs": runs}
        print(f"{name:16} " + "  ".join(f"{rate}: {run['scores'][-1]:.4f}" for rate, run in runs.items()), flush=True)
    return results


def compare_penalties(data: Set, test: Set) -> dict[str, Any]:
    """Adam at 0.003. A gate has to move its log alpha by 2.4 before it is closed for good."""
    results = {}
    for name, fields in PENALTIES.items():
        net = network()
        settings: dict[str, Any] = {"optimizer": "adam", "lr": 0.003, "lr_batch_size": None, "weight_decay": 0}
        recipe = Recipe(**{**settings, **fields}, epochs=PENALTY_EPOCHS)
        run = train(net, recipe, data, judged_on(test))
        weights = torch.cat([p.flatten() for p in remove_gates(net).parameters() if p.dim() > 1]).abs()
        results[name] = {
            **run, "zero": (weights == 0).float().mean().item(),
            "small": (weights < 1e-3).float().mean().item(), "sum": weights.sum().item(),
        }  # fmt: skip
        print(f"{name:18} {run['scores'][-1]:.4f}, zeros {results[name]['zero']:.3f}", flush=True)
    return results


def draw(results: dict[str, Any], path: Path) -> None:
    """Losses and accuracies at the best rates, and accuracy over the rate; what fell below 0.65 leaves the chart."""
    made = figure(12.5, 4.4)
    left, centre, right = made.subplots(1, 3)
    styled(left, "Training loss at the best rate", "epoch")
    styled(centre, "Test accuracy at the best rate", "epoch")
    styled(right, "Test accuracy after the last epoch", "rate / usual rate")
    lines = []
    for (name, found), colour in zip(results.items(), COLOURS, strict=True):
        best, style = (
            found["runs"][found["best"]],
            {"color": colour, "linewidth": 1.5, "linestyle": "--" if name == "adamw" else "-"},
        )
        lines += left.plot(np.arange(1, len(best["losses"]) + 1) / 4, best["losses"], **style)
        centre.plot(range(1, EPOCHS + 1), best["scores"], marker="o", markersize=3, **style)
        last = [run["scores"][-1] for run in found["runs"].values()]
        right.plot(FACTORS, last, marker="o", markersize=3, label=name, **style)
    left.set_yscale("log")
    right.set_xscale("log")
    for axis, values in ((left.yaxis, (0.2, 0.3, 0.5, 1.0)), (right.xaxis, FACTORS)):
        axis.set_ticks(list(values), [f"{value:g}" for value in values])
        axis.set_ticks([], minor=True)
    centre.set_xticks(range(1, EPOCHS + 1))
    for axes in (centre, right):
        axes.set_ylim(0.65, 0.86)
    legend(right, lines, list(results), outside=True)
    save(made, path)


def tables(optimisers: dict[str, Any], penalties: dict[str, Any]) -> str:
    rates = " | ".join(f"{factor:g} ×" for factor in FACTORS)
    rows = [f"| optimiser | usual rate | {rates} | training loss |"]
    rows.append("| --- |" + " --: |" * (len(FACTORS) + 2))
    for name, found in optimisers.items():
        best = found["runs"][found["best"]]
        marks = ["**" if run is best else "" for run in found["runs"].values()]
        last = [run["scores"][-1] for run in found["runs"].values()]
        scores = [f"{mark}{score:.3f}{mark}" for mark, score in zip(marks, last, strict=True)]
        figures = (f"{found['usual']:g}", *scores, f"{best['losses'][-1]:.3f}")
        rows.append(f"| `{name}` | " + " | ".join(figures) + " |")
    rows += ["", "| penalty | test accuracy | exact zeros | below 0.001 | sum of sizes |"]
    rows.append("| --- | --: | --: | --: | --: |")
    for name, run in penalties.items():
        figures = (f"{run['scores'][-1]:.3f}", f"{run['zero']:.1%}", f"{run['small']:.1%}", f"{run['sum']:,.0f}")
        rows.append(f"| `{name}` | " + " | ".join(figures) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/optimisers.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/optimisers.png"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, (data, test) = time.perf_counter(), load(options.data)
    optimisers, penalties = compare_optimisers(data, test), compare_penalties(data, test)
    about = {"torch": torch.__version__, "cpus": os.cpu_count(), "seconds": round(time.perf_counter() - started)}
    results = {**about, "optimisers": optimisers, "penalties": penalties}
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    draw(optimisers, options.picture)
    print(tables(optimisers, penalties))


if __name__ == "__main__":
    main()
