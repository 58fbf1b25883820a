"""A training step in bfloat16 on a CPU, with torch's own convolutions and with those of ``baimu.layers.cpu_conv``.

    python benchmarks/cpu_conv.py --out benchmarks/results/cpu_conv.json

128 images of 28 x 28, channels-last, forward, loss, backward and AdamW, in one process, taking turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from baimu import create_model
from baimu.layers import norm
from baimu.targets import ClassTargets
from turns import ratios, take_turns

NAMES = ("resnet18", "mobilenet_v2", "shufflenet_v2_x1_0", "efficientnet_b0")
BATCH, SIDE, CLASSES = 128, 28, 10


def torchs(conv: nn.Module, x: Tensor) -> Tensor:
    return conv(x)


def measured(name: str, turns: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model: Any = create_model(name, num_classes=CLASSES, small_images=True).train()
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    targets = ClassTargets(torch.eye(CLASSES)[torch.arange(BATCH) % CLASSES])

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            losses = model.losses(images, targets)
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()

    times = take_turns({"torch": mock.patch.object(norm, "convolve", torchs)(step), "baimu": step}, turns)
    return {"times": times, "ratios": ratios(times, "torch")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cpu_conv.json"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {name: measured(name, options.turns) for name in NAMES}
    for name, result in results.items():
        print(name, {key: round(value["wall_ms"]) for key, value in result["times"].items()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"torch": torch.__version__, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
