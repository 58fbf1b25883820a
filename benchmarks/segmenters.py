"""Speed of FCN and DeepLabV3 against torchvision's with the same parameters, in one process, taking turns.

    python benchmarks/segmenters.py --out benchmarks/results/segmenters.json [--only fcn_r50]

Inference: one image of 512 x 512 to logits of that size, eager as built, and a folded copy, also in bfloat16.
Training: forward of both heads, cross entropy and backward of two crops of 256 x 256. Medians of the turns.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import segmentation

from baimu import create_model
from baimu.targets import MapTargets
from baimu.weights import torchvision
from baimu.weights.keys import load_converted
from turns import ratios, take_turns

PEERS: dict[str, Callable[..., nn.Module]] = {
    "fcn_r50": segmentation.fcn_resnet50,
    "deeplabv3_r50": segmentation.deeplabv3_resnet50,
}
CLASSES = 21


def pair(name: str) -> tuple[nn.Module, Any]:
    """The peer, and ours with its parameters."""
    torch.manual_seed(0)
    peer = PEERS[name](weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    ours = create_model(name, num_classes=CLASSES, like="torchvision")
    load_converted(ours, peer.state_dict(), torchvision.SOURCE.route(name))
    return peer, ours


def images(count: int, side: int) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def inference(name: str, turns: int) -> dict[str, Any]:
    peer, ours = pair(name)
    x = images(1, 512)
    peer.eval()
    nets = {"baimu": ours.eval()}
    nets |= {
        "baimu optimized": ours.optimize(compile=False),
        "baimu bf16": ours.optimize(precision="bf16", compile=False),
    }
    runs: dict[str, Callable[[], Tensor]] = {key: partial(net.segment, x) for key, net in nets.items()}
    runs["torchvision"] = lambda: peer(x)["out"]
    expected = runs["torchvision"]()
    apart = {key: float((run().float() - expected).abs().max() / expected.abs().max()) for key, run in runs.items()}
    times = take_turns(runs, turns)
    return {"times": times, "ratios": ratios(times, "torchvision"), "largest_difference": apart}


def training(name: str, turns: int) -> dict[str, Any]:
    peer, ours = pair(name)
    x = images(2, 256)
    labels = torch.randint(0, CLASSES, (2, 256, 256), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    targets = MapTargets(labels, torch.tensor([[256, 256]] * 2))
    peer.train()
    ours.train().to(memory_format=torch.channels_last)

    def theirs() -> None:
        out = peer(x)
        loss = F.cross_entropy(out["out"], labels.long()) + 0.5 * F.cross_entropy(out["aux"], labels.long())
        loss.backward()
        peer.zero_grad()

    def own() -> None:
        sum(ours.losses(x.contiguous(memory_format=torch.channels_last), targets).values()).backward()
        ours.zero_grad()

    times = take_turns({"torchvision": theirs, "baimu": own}, turns)
    return {"times": times, "ratios": ratios(times, "torchvision")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/segmenters.json"))
    parser.add_argument("--only", choices=[*PEERS], action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "processor": platform.processor() or platform.machine(),
        "inference": {},
        "training": {},
    }
    for name in options.only or PEERS:
        results["inference"][name] = inference(name, options.turns)
        results["training"][name] = training(name, max(3, options.turns // 2))
        for part in ("inference", "training"):
            print(name, part, {k: round(v["wall_ms"], 3) for k, v in results[part][name]["ratios"].items()}, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
