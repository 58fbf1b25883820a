"""Segmenters equal mmsegmentation's with the same parameters, on the golden files: maps, logits of whole and sliding
tests, label maps, losses and gradients."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baimu import zoo
from baimu.semantic_segmentation.segmenter import Segmenter
from baimu.targets import UNDECIDED, MapTargets
from baimu.weights import openmmlab
from baimu.weights.keys import convert_back, load_converted
from tests.parity.golden import Golden
from tests.parity.observe import Trace

TOLERANCE = 1e-4  # of the largest magnitude; what was seen is below 1e-5
MMSEG: dict[str, Any] = {"like": "mmsegmentation", "average": "all"}
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "fcn_r50_d8": ("fcn_r50", MMSEG),
    "pspnet_r50_d8": ("pspnet_r50", MMSEG),
    "pspnet_r50_d8_slide_align": (
        "pspnet_r50",
        {**MMSEG, "align_corners": True, "window": 65, "window_stride": 43},
    ),
    "deeplabv3plus_r50_d8": ("deeplabv3plus_r50", MMSEG),
    "unet_s5_fcn_dice": (
        "unet_s5_d16",
        {"average": "all", "loss": "cross_entropy+3*joint_dice", "window": 64, "window_stride": 42},
    ),
}
LOSSES = {"decode.loss_ce": "cross_entropy", "decode.loss_dice": "joint_dice", "aux.loss_ce": "auxiliary"}


@cache
def golden(path: Path) -> tuple[Golden, Segmenter]:
    """A file and our model with its parameters, in evaluation mode, every parameter asking for a gradient."""
    read = Golden.read(path)
    name, arguments = FILES[path.stem]
    model = zoo.create_model(name, num_classes=read.meta["num_classes"], **arguments)
    load_converted(model, read.state(), openmmlab.SOURCE.route(name))
    assert isinstance(model, Segmenter)
    return read, model.requires_grad_(True).eval()


def targets(read: Golden) -> MapTargets:
    """Stripes and squares, the left four columns undecided (the README's rule)."""
    count, _, height, width = read.meta["image_shape"]
    y, x = torch.arange(height)[:, None] // 16, torch.arange(width) // 16
    labels = torch.stack([(x + 2 * y + i) % read.meta["num_classes"] for i in range(count)]).to(torch.uint8)
    labels[:, :, :4] = UNDECIDED
    return MapTargets(labels, torch.tensor([[height, width]] * count))


@pytest.mark.parametrize("file", FILES)
def test_maps(shared: Path, file: str) -> None:
    """Of the windows of a sliding test in their order; the files hold the first six."""
    read, model = golden(shared / "goldens" / "mmseg" / f"{file}.npz")
    layers = [f"backbone.layer{i + 1}" for i in range(4)]
    names = ["neck"] if model.neck is not None else layers
    with torch.no_grad(), Trace(model, *names) as trace:
        model.segment(read.images())
    found: dict[str, Tensor] = {}
    for call in range(len(trace.outputs[names[0]])):
        maps = trace.outputs["neck"][call][::-1] if model.neck is not None else [trace.outputs[n][call] for n in layers]
        mark = f"#{call}" if model.window is not None else ""
        found |= {f"eval/backbone{mark}/{level}": x for level, x in enumerate(maps)}
    stored = [key for key in read.arrays if key.startswith("eval/")]
    assert max(read.difference(key, found[key]) for key in stored) < TOLERANCE


@pytest.mark.parametrize("file", FILES)
def test_predictions(shared: Path, file: str) -> None:
    read, model = golden(shared / "goldens" / "mmseg" / f"{file}.npz")
    logits = model.segment(read.images())
    for i in range(len(logits)):
        assert read.difference(f"pred/{i}/seg_logits", logits[i]) < TOLERANCE
        wrong = (logits[i].argmax(0).numpy() != read.arrays[f"pred/{i}/seg_label"].reshape(logits.shape[2:])).sum()
        assert wrong <= read.meta["sensitivity"]["predictions"]["seg_label"]  # pixels of two equal classes


@pytest.mark.parametrize("file", FILES)
def test_losses_and_gradients(shared: Path, file: str) -> None:
    read, model = golden(shared / "goldens" / "mmseg" / f"{file}.npz")
    model.zero_grad()
    losses = model.losses(read.images(), targets(read))
    expected: dict[str, float] = defaultdict(float)
    for key, value in read.meta["losses"].items():
        if "loss" in key:
            expected[LOSSES[key]] += value
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-5)
    torch.stack([*losses.values()]).sum().backward()
    apart = max(gradients_apart(read, model).values())
    if apart > TOLERANCE:  # a ReLU whose input is zero but for rounding may go either way: how far does that reach?
        before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        noise = torch.randn(read.images().shape, generator=torch.Generator().manual_seed(0))
        model.zero_grad()
        losses = model.losses(read.images() * (1 + 1e-6 * noise), targets(read))
        torch.stack([*losses.values()]).sum().backward()
        after = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        floor = 1e-3 * max(g.norm().item() for g in before.values())
        moved = max(abs(g.norm() - after[n].norm()).item() / max(g.norm().item(), floor) for n, g in before.items())
        assert apart < min(moved, 2 * TOLERANCE)


def gradients_apart(read: Golden, model: Segmenter) -> dict[str, float]:
    """Relative difference of each norm; of what is below a thousandth of the largest, relative to that."""
    assert model.spec is not None
    route = openmmlab.SOURCE.route(model.spec[0])
    ours = convert_back({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, route)
    theirs = dict(zip(read.meta["grad_names"], read.arrays["grad_norms"].astype(float), strict=True))
    assert {name for name, norm in theirs.items() if norm >= 0} == ours.keys()
    floor = 1e-3 * max(theirs.values())
    return {k: abs(g.double().norm().item() - theirs[k]) / max(theirs[k], floor) for k, g in ours.items()}
