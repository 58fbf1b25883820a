"""What ``model.optimize()`` chooses on this machine, against torchvision's and timm's eager networks with the same
parameters, in one process, taking turns.

    python benchmarks/optimize.py --out benchmarks/results/optimize.json [--only resnet50] [--compile]

One image, from bytes to probabilities or final detections: ResNet-50 at 224 and RetinaNet at 640 in every precision,
each chosen by :func:`baimu.deploy.optimizing.optimize`; ViT-B/16 (timm's network itself) and DETR for what linear
layers gain by another kernel. Weights are random, so that agreement in 8 bits says little: it is told and not demanded.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baimu import create_model
from baimu.deploy.optimizing import asker
from baimu.inference.batches import IMAGES
from baimu.inference.sources import Item
from baimu.layers.fold import optimize as fold_optimize
from classifiers import models_of
from detectors import image_of
from pairs import build_pair
from turns import Times, ratios, take_turns

BARS = {
    "resnet50": {"fp32": 0.50, "bf16": 0.33, "int8": 0.22},
    "retinanet": {"fp32": 0.75, "bf16": 0.45, "int8": 0.25},
    "vit_base": {"fp32": 0.60},
    "detr": {"fp32": 0.60},
}
"""Shares of the peer's time that are to be reached with two threads."""
PAUSE = 0.03
CALIBRATION = 16


def picture(size: int, seed: int) -> Any:
    """A smooth random picture as uint8 (H, W, 3)."""
    turned = image_of(size)[0].rot90(seed % 4, (1, 2)).roll(seed * 37, 2)
    return (255 * turned).byte().permute(1, 2, 0).contiguous().numpy()


def chosen(model: Any, size: int, options: argparse.Namespace) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """Runs of what was chosen for each precision, and why."""
    sample = [picture(size, seed) for seed in range(CALIBRATION)]
    runs: dict[str, Callable[[], Any]] = {}
    choices: dict[str, Any] = {}
    for precision in ("fp32", "bf16", "int8"):
        found = model.optimize(
            sample,
            precision=precision,
            tolerance=None if precision == "fp32" else 0.0,
            seconds=900 if options.compile else 140,
        )
        print(found.choice, flush=True)
        choices[precision] = asdict(found.choice)
        batch = IMAGES.collate([IMAGES.prepare(Item("picture", lambda: sample[0]), found.preprocess)], found.preprocess)
        runs[precision] = partial(asker(found), batch)
    return runs, choices


def resnet50(options: argparse.Namespace) -> dict[str, Any]:
    peers, ours = models_of("resnet50")
    ours.eval()
    runs, choices = chosen(ours, 224, options)
    image = torch.from_numpy(picture(224, 0)).permute(2, 0, 1)[None]

    def run(net: nn.Module) -> Callable[[], Tensor]:
        return lambda: net(ours.preprocess.normalize(image).contiguous()).softmax(1)

    peer = {name: run(net.eval()) for name, net in peers.items()}
    return measured(peer | runs, options.turns) | {"choices": choices}


def retinanet(options: argparse.Namespace) -> dict[str, Any]:
    pair = build_pair("retinanet", 640)
    theirs, ours = pair.theirs.eval(), pair.ours.eval()
    image = torch.from_numpy(picture(640, 0)).permute(2, 0, 1)[None]
    spread_scores(theirs, ours, ours.preprocess.normalize(image))
    ours.preprocess = ours.preprocess.replace(resize="letterbox", size=640)
    runs, choices = chosen(ours, 640, options)
    peer = {"torchvision": lambda: theirs([image[0].float() / 255])}
    return measured(peer | runs, options.turns) | {"choices": choices}


@torch.no_grad()
def spread_scores(theirs: Any, ours: Any, images: Tensor) -> None:
    """Scores of a network that tells things apart, and in both the threshold that a thousand candidates pass."""
    spread = torch.cat([x.flatten() for x in ours(images).logits]).std()
    for layer in (theirs.head.classification_head.cls_logits, ours.head.classify):
        layer.weight.mul_(1.5 / spread)
    scores = torch.cat([x.flatten() for x in ours(images).logits]).sigmoid()
    ours.score_threshold = theirs.score_thresh = float(scores.topk(1000).values[-1])


def vit_base(options: argparse.Namespace) -> dict[str, Any]:
    import timm

    torch.manual_seed(0)
    model = timm.create_model("vit_base_patch16_224").eval()
    return copies("timm", model, lambda net, images: net(images), 224, options)


def detr(options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    return copies("eager", create_model("detr_r50").eval(), lambda net, images: net.detect(images), 640, options)


def copies(peer: str, model: nn.Module, ask: Any, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Copies in torch whose linear layers go through another kernel, or through 16 bits."""
    images = torch.from_numpy(picture(size, 0)).permute(2, 0, 1)[None].float() / 128 - 1
    nets: dict[str, Any] = {
        peer: model,
        "onednn": fold_optimize(model, linears="onednn"),
        "mkl": fold_optimize(model, linears="mkl"),
        "bf16": fold_optimize(model, precision="bf16"),
    }
    if options.compile:
        nets["compiled"] = fold_optimize(model, compile=True)
    return measured({name: (lambda net=net: ask(net, images)) for name, net in nets.items()}, options.turns)


@torch.no_grad()
def measured(runs: dict[str, Callable[[], Any]], turns: int) -> dict[str, Any]:
    times: Times = take_turns(runs, turns, pause=PAUSE)
    return {"times": times, "ratios": ratios(times, next(iter(runs)))}


NETWORKS = {"resnet50": resnet50, "retinanet": retinanet, "vit_base": vit_base, "detr": detr}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/optimize.json"))
    parser.add_argument("--only", choices=[*NETWORKS], action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="also by inductor, minutes a network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "processor": platform.processor() or platform.machine(),
        "bars": BARS,
        "networks": {},
    }
    for name in options.only or NETWORKS:
        results["networks"][name] = NETWORKS[name](options)
        shares = {key: round(value["wall_ms"], 3) for key, value in results["networks"][name]["ratios"].items()}
        print(name, shares, "bars", BARS[name], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
