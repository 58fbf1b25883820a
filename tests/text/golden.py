"""Golden files of the text room: the fill rule of the other references, part by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.parity.golden import filled


class Reference:
    """One file: ``arrays``, ``meta``, and the parameters that its rule makes of a part."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = dict(file)
        self.meta: dict[str, Any] = json.loads(self.arrays.pop("meta").item())
        self.values = self.meta["values"]

    def state(self, part: str = "model") -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.asarray(filled(name, shape, kind, scale), np.float32))
            for name, shape, kind, scale in self.meta["states"][part]
        }

    def assert_close(self, key: str, found: Tensor, tolerance: float = 1e-5) -> None:
        """Within ``tolerance`` of the stored array's, or the sampled tensor's, largest magnitude."""
        about, flat = self.meta["tensors"].get(key), found.detach().double()
        if about is not None:
            assert list(found.shape) == about["shape"]
            flat = flat.contiguous().reshape(-1)[:: about["step"]]
        stored = torch.from_numpy(self.arrays[key]).double()
        most = stored.abs().max() if about is None else about["absmax"]
        assert flat.shape == stored.shape
        assert float((flat - stored).abs().max() / most) < tolerance

    def assert_gradients(self, key: str, norms: dict[str, float], tolerance: float = 1e-4) -> None:
        """``norms`` of gradients by the reference's names."""
        names = self.meta["grad_names"][key]
        stored = self.arrays[f"grad_norms/{key}"]
        assert norms.keys() == set(names)
        for name, norm in zip(names, stored, strict=True):
            assert abs(norms[name] - norm) <= tolerance * max(norm, 1e-3 * stored.max()), name


def line(count: int = 2) -> Tensor:
    """The lines that both files of readers are fed."""
    return torch.from_numpy(np.tanh(np.random.RandomState(0).standard_normal((count, 1, 32, 100)).astype(np.float32)))
