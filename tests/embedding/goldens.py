"""Golden files of embedding: several modules a file, stored in full or as samples, and inputs made by rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.weights.keys import Source, convert_back, load_converted
from tests.parity.golden import Golden


def read(shared: Path, name: str) -> Golden:
    return Golden.read(shared / "goldens" / f"{name}.npz")


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def state(golden: Golden, part: str) -> dict[str, Tensor]:
    """The ruled parameters of one module of the file."""
    return replace(golden, meta={**golden.meta, "state": golden.meta["states"][part]}).state()


def load(model: Any, golden: Golden, source: Source) -> Any:
    """``model`` with the file's parameters, all of which ask for a gradient; in eval mode."""
    load_converted(model, state(golden, "model"), source)
    return model.requires_grad_(True).eval()


def apart(golden: Golden, key: str, found: Tensor) -> float:
    """The largest difference relative to the largest magnitude."""
    if key in golden.meta["tensors"]:
        return golden.difference(key, found)
    stored = golden.arrays[key].astype(np.float64)
    assert stored.shape == tuple(found.shape), key
    return float(np.abs(found.detach().double().numpy() - stored).max() / np.abs(stored).max())


def gradients_apart(golden: Golden, key: str, model: torch.nn.Module, source: Source) -> dict[str, float]:
    """Of the norms of all gradients, under the reference's names; a norm below a thousandth of the largest by that."""
    route = source.route(model.spec[0])  # pyright: ignore[reportIndexIssue, reportOptionalSubscript, reportArgumentType]
    ours = convert_back({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, route)
    theirs = dict(zip(golden.meta["grad_names"][key], golden.arrays[f"grad_norms/{key}"].tolist(), strict=True))
    floor = 1e-3 * max(theirs.values())
    norms = {name: ours[name].double().norm().item() for name in theirs}
    return {name: abs(norms[name] - norm) / max(norm, floor) for name, norm in theirs.items()}
