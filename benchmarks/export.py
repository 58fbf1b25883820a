"""What every method exports to, and how equal, large and fast it is there: the matrix of docs/export.md.

    python benchmarks/export.py --out benchmarks/results/export.json

One small name of each method, with random weights whose norms have seen noise, few classes and small images: what is
proven is that the graphs are equal, not that the networks see. Each file is written by ``baimu.export`` and compared
as it compares; its latency is taken in turns with eager's (norms folded), batch 1, one thread.
Rows that are in the file are kept; ``--only NAME`` and ``--format FORMAT`` take a part anew. `make docs` writes the
tables of docs/export.md and the column of docs/methods.md from the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import baimu
from baimu.datasets.playground import Playground
from baimu.deploy.graph import KINDS, Graph, example
from baimu.deploy.proof import prove, samples
from baimu.errors import BaimuError
from baimu.layers.fold import fold_norms
from baimu.runtimes.exported import open_exported
from baimu.runtimes.session import RUNTIMES
from turns import take_turns

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"num_classes": 3}
TWO_STAGE = {**SMALL, "scratch": True, "test_proposals": (200, 60), "rpn_border": None}
GROUPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("retinanet_r18_fpn fcos_r18_fpn fcos_center_r18_fpn", {**SMALL, "scratch": True}),
    ("faster_rcnn_r18_fpn cascade_rcnn_r18_fpn mask_rcnn_r18_fpn cascade_mask_rcnn_r18_fpn", TWO_STAGE),
    ("detr_r18", {**SMALL, "scratch": True, "width": 64, "depths": (2, 2), "hidden": 128, "queries": 30}),
    ("fcn_r18 fcn8s_vgg16 unet unet_r18 pspnet_r18 deeplabv3_r18 deeplabv3plus_r18", SMALL),
    ("resnet18 resnet18_v1d resnext50_32x4d res2net50_26w_4s resnest14 googlenet inception_v3 inception_v4", SMALL),
    ("inception_resnet_v2 mobilenet_v1 mobilenet_v2 mobilenet_v3_small seresnet50 squeezenet1_1", SMALL),
    ("shufflenet_v1_x1_0 shufflenet_v2_x1_0 efficientnet_b0 hrnet_w18_small vgg11_bn", SMALL),
    ("darknet19 darknet53 cspdarknet53 dla34", SMALL),
    ("arcface_r18 arcface_iresnet18 reid_baseline_r18", SMALL),
    ("siamfc_alexnet siamrpn_alexnet siamrpn_alexnet_dw", {"width": 0.5}),
    ("pix2pix", {"levels": 6, "width": 16}),
    ("cyclegan_resnet6", {"width": 16}),
    ("srresnet srgan msrresnet_small", {"depth": 4, "width": 16}),
    ("crnn crnn_resnet", {"num_classes": 10, "hidden": 64}),
    ("textcnn textcnn_static textcnn_multichannel", {"vocabulary": 200, "dim": 32}),
)
"""Names, and the arguments they are built with."""
CASES = {name: arguments for names, arguments in GROUPS for name in names.split()}
EVERYWHERE = ("onnx", "openvino", "torch", "torchscript", "mnn")
COMPILED = ("resnet18", "retinanet_r18_fpn", "faster_rcnn_r18_fpn", "unet_r18", "crnn", "siamfc_alexnet")
"""That are also tried with AOTInductor, which takes a minute each."""
SIDE, TIMED = 96, 128
"""Pixels of the shorter side, and of the squares that latency is taken with."""
OWN_SIDE = {"embedding": 112, "generation": 128}
"""Of tasks with networks that take no other, or only multiples of a larger number."""
HELD_TO = {"torchscript": 128}
"""Formats that hold detectors to one size, and that."""
TURNS = 7


def make(name: str) -> Any:
    """The model: weights that are random and scores that differ, as after training; in evaluation mode."""
    torch.manual_seed(0)
    arguments = dict(CASES[name])
    later = {key: arguments.pop(key) for key in ("test_proposals", "rpn_border") if key in arguments}
    model: Any = baimu.create_model(name, **arguments)
    for key, value in later.items():
        setattr(model, key, value)
    for part, layer in model.named_modules():
        if part.endswith(("classify", "objectness", "predict")) and isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.05)
    if hasattr(model, "score_threshold"):
        model.score_threshold = 0.0
    if model.task not in ("tracking", "text_classification", "text_recognition", "embedding"):
        model.preprocess = model.preprocess.replace(size=SIDE, max_size=2 * SIDE)
    settle(model)
    return model.eval()


@torch.no_grad()
def settle(model: Any) -> None:
    """Statistics of batch norms as after training: those of one batch of drawn scenes."""
    side = OWN_SIDE.get(model.task, SIDE)
    shapes = [tuple(x.shape[2:]) for x in example(model, (side, side)) if x.ndim == 4]
    inputs = [model.preprocess.normalize(scenes(shape)) for shape in shapes]
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        model.train()(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    if model.task == "classification":
        level(model.eval(), inputs)


def scenes(shape: tuple[int, ...]) -> Tensor:
    """Eight of them, and no two alike: (8, 3, *shape)."""
    drawn = Playground(8, seed=1, size=(shape[0], shape[1]), empty=0.0)
    return torch.stack([torch.from_numpy(drawn.image(i)).permute(2, 0, 1) for i in range(8)])


def level(model: Any, inputs: Sequence[Tensor]) -> None:
    """Let logits differ from image to image, by one, and be of a size: a softmax that is sure of one class, whatever it
    is shown, proves nothing."""
    logits = model(*inputs)
    shift, spread = logits.mean(0), logits.std(0).mean()
    last = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d) and len(m.weight) == logits.shape[1]][-1]
    last.weight.div_(spread)
    if last.bias is not None:
        last.bias.sub_(shift).div_(spread)


def measure(model: Any, eager: Any, path: Path, format: str) -> dict[str, Any]:
    """What a row of the matrix says of one format."""
    start = time.perf_counter()
    size = HELD_TO.get(format) if model.task == "detection" else None
    before = model.preprocess
    try:
        baimu.export(model, path, format=format, size=size, verify=False)
        exported = open_exported(path)
        if size is not None:
            model.preprocess = before.replace(resize="letterbox", size=size)
        proof = prove(model, exported, samples(model, None), "fp32")
    except BaimuError as error:
        return {"why": str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")}
    finally:
        model.preprocess = before
    inputs = example(model, (TIMED, TIMED), batch=1)
    graph = Graph(eager, KINDS[model.task], {}).eval()
    fixed = exported.card.fixed_size
    if inputs[0].ndim == 4 and model.task != "tracking" and any(fixed):
        inputs = example(model, (fixed[0] or TIMED, fixed[1] or TIMED), batch=1)
    with torch.no_grad():
        times = take_turns({"eager": lambda: graph(*inputs), "exported": lambda: exported(*inputs)}, TURNS)
    parts = [path, path.with_suffix(".bin")]
    return {
        "difference": proof.difference,
        "same": proof.same,
        "of": proof.of,
        "mib": sum(part.stat().st_size for part in parts if part.exists()) / 2**20,
        "ms": times["exported"]["wall_ms"],
        "eager_ms": times["eager"]["wall_ms"],
        "seconds": time.perf_counter() - start,
    }


def measure_all(name: str, formats: Sequence[str], keep: Callable[[str, dict[str, Any]], None]) -> None:
    """A name in this process; ``keep`` is given each row as it comes."""
    torch.set_num_threads(1)
    model = make(name)
    eager = fold_norms(model)
    for format in formats:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(model, eager, Path(folder) / f"{name}{RUNTIMES[format].suffix}", format)
        keep(format, row)
        said = row.get("why") or f"{row['difference']:.2g}, {row['mib']:.1f} MiB, {row['ms']:.1f} ms"
        print(f"{name} {format}: {said}", flush=True)


class Results:
    """The rows in a file, by name and format."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, name: str) -> dict[str, Any]:
        return self._read().get(name, {})

    def keep(self, name: str, format: str, row: dict[str, Any]) -> None:
        rows = self._read()
        rows.setdefault(name, {})[format] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(rows, indent=1) + "\n")

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/export.json")
    parser.add_argument("--only", action="append", choices=tuple(CASES))
    parser.add_argument("--format", action="append", choices=tuple(RUNTIMES))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    results = Results(options.out)
    if options.alone:
        (name,) = options.only
        measure_all(name, options.format, partial(results.keep, name))
        return
    for name in options.only or CASES:
        formats = options.format or [*EVERYWHERE, *(["aotinductor"] if name in COMPILED else [])]
        if not (options.only or options.format):
            formats = [format for format in formats if format not in results.of(name)]
        while formats:  # in a process of their own: one runtime ends the process that it fails in
            words = ["--alone", "--out", str(options.out), "--only", name]
            words += [word for format in formats for word in ("--format", format)]
            known = results.of(name)
            code = subprocess.run([sys.executable, __file__, *words], check=False).returncode
            if not code:
                break
            formats = [format for format in formats if results.of(name).get(format) == known.get(format)]
            results.keep(name, formats.pop(0), {"why": f"ends the process that it runs in (exit code {code})"})


if __name__ == "__main__":
    main()
