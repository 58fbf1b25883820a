"""Speed of our detectors against torchvision's with the same parameters, in one process, taking turns.

    python benchmarks/detectors.py --out benchmarks/results/detectors.json [--only retinanet] [--compile]

Inference: one 640 x 640 image, everything from the normalised image to final detections (torchvision also normalises
and batches it: under 1 % of its time). Training: forward, loss and backward of 2 images of 512 x 512. Medians of the
turns; CPU seconds beside wall seconds, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config as inductor
from torch import Tensor

from baimu.layers.fold import fold_norms
from baimu.targets import Targets
from pairs import CLASSES, Pair, build_pair, largest_difference
from turns import ratios, take_turns

NAMES = ("retinanet", "fcos", "faster_rcnn")


def image_of(size: int) -> Tensor:
    """A smooth random picture in 0…1: noise alone would make activations that no photograph makes."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, size // 16, size // 16, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


def inference(pair: Pair, turns: int, compiled: bool) -> dict[str, Any]:
    pair.theirs.eval()
    image = image_of(640)
    transform = pair.theirs.transform
    mean, std = (torch.tensor(v)[:, None, None] for v in (transform.image_mean, transform.image_std))
    images = ((image - mean) / std).contiguous(memory_format=torch.channels_last)
    folded = fold_norms(pair.ours)
    difference = largest_difference(pair, folded, images)

    @torch.no_grad()
    def theirs() -> Any:
        return pair.theirs([image[0]])

    runs = {"torchvision": theirs, "baimu": lambda: folded.detect(images)}
    if compiled:
        program = fold_norms(pair.ours)
        program.forward = torch.compile(program.forward)
        with inductor.patch(freezing=True):  # weights are constants, laid out for each convolution
            program.detect(images)
        runs["baimu compiled"] = lambda: program.detect(images)
    times = take_turns(runs, turns)
    return {"times": times, "ratios": ratios(times, "torchvision"), "largest_difference": difference}


def training(pair: Pair, turns: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    corner = 400 * torch.rand(2, 7, 2, generator=generator)
    boxes = torch.cat([corner, corner + 16 + 96 * torch.rand(2, 7, 2, generator=generator)], -1)
    labels = torch.randint(1, CLASSES - 1, (2, 7), generator=generator)
    image = image_of(512).repeat(2, 1, 1, 1)
    images = ((image - 0.45) / 0.22).contiguous(memory_format=torch.channels_last)
    shift = 1 if pair.name == "faster_rcnn" else 0  # their label 1 is our 0 where background is a class of the head
    targets = Targets(boxes, labels - shift, torch.tensor([[512, 512]] * 2))
    theirs_targets = [{"boxes": b, "labels": l} for b, l in zip(boxes, labels, strict=True)]
    pair.theirs.train()
    for name, parameter in pair.theirs.backbone.body.named_parameters():
        parameter.requires_grad_(not name.startswith(("conv1", "layer1")))
    ours = pair.ours.train().to(memory_format=torch.channels_last)

    def theirs() -> None:
        sum(pair.theirs(list(image), theirs_targets).values()).backward()
        pair.theirs.zero_grad()

    def mine() -> None:
        sum(ours.losses(images, targets).values()).backward()
        ours.zero_grad()

    times = take_turns({"torchvision": theirs, "baimu": mine}, turns)
    result: dict[str, Any] = {"times": times, "ratios": ratios(times, "torchvision")}
    if pair.name != "faster_rcnn":
        outputs = ours(images)
        leaves = type(outputs)(*([x.detach().requires_grad_(x.requires_grad) for x in part] for part in outputs))

        def loss() -> None:
            sum(ours.loss(leaves, targets).values()).backward()

        alone = take_turns({"loss": loss}, turns)["loss"]
        result["assignment_and_loss"] = alone | {"share": alone["cpu_ms"] / times["baimu"]["cpu_ms"]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/detectors.json"))
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="also torch.compile, a minute or two a detector")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "processor": platform.processor() or platform.machine(),
        "inference_640": {},
        "training_512": {},
    }
    for name in options.only or NAMES:
        results["inference_640"][name] = inference(build_pair(name, 640), options.turns, options.compile)
        results["training_512"][name] = training(build_pair(name, 512), max(3, options.turns // 2))
        print(name, json.dumps({k: results[k][name] for k in ("inference_640", "training_512")}, indent=1), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
