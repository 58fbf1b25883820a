"""Reading the golden files of mmdetection (the rules of shared/goldens/README.md)."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.targets import Targets

BOXES = (
    ((0.06, 0.10, 0.45, 0.62), (0.50, 0.08, 0.94, 0.55), (0.30, 0.55, 0.62, 0.93), (0.70, 0.66, 0.86, 0.90)),
    ((0.10, 0.15, 0.70, 0.80), (0.62, 0.10, 0.93, 0.42), (0.25, 0.30, 0.40, 0.50)),
)


@dataclass(frozen=True)
class Golden:
    """One file: its arrays, what its header says, and the weights, images and targets its rule makes."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Golden:
        with np.load(path) as file:
            arrays = dict(file)
        return cls(arrays, json.loads(arrays.pop("meta").item()))

    def state(self) -> dict[str, Tensor]:
        """The reference's parameters under its own names; constants are left out."""
        state: dict[str, Tensor] = {}
        for name, shape, kind, scale in self.meta["state"]:
            if kind == "c":
                continue
            noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
            value = {
                "w": lambda n, s: n * s,
                "s": lambda n, s: (1 + 0.1 * n) * s,
                "b": lambda n, s: 0.1 * n,
                "v": lambda n, s: 1 + 0.1 * np.abs(n),
                "0": lambda n, s: n * 0,
            }[kind](noise, scale)
            state[name] = torch.from_numpy(np.asarray(value, dtype=np.float32))
        return state

    def images(self) -> Tensor:
        shape = self.meta["image_shape"]
        noise = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
        return torch.from_numpy(noise * np.float32(self.meta["input_scale"]))

    def targets(self) -> Targets:
        boxes, labels = [], []
        for i, (height, width) in enumerate(self.meta["img_shapes"]):
            corner = [
                (
                    np.floor(x1 * width) + 0.25,
                    np.floor(y1 * height) + 0.25,
                    np.floor(x2 * width) + 0.75,
                    np.floor(y2 * height) + 0.75,
                )
                for x1, y1, x2, y2 in BOXES[i]
            ]
            boxes.append(torch.tensor(corner, dtype=torch.float32))
            labels.append(torch.tensor([(3 * i + 2 * j + 1) % self.meta["num_classes"] for j in range(len(corner))]))
        return Targets.collate(boxes, labels, [tuple(size) for size in self.meta["img_shapes"]])

    def difference(self, key: str, tensor: Tensor) -> float:
        """Largest difference from the stored sample, relative to the whole tensor's largest magnitude."""
        about = self.meta["tensors"][key]
        assert list(tensor.shape) == about["shape"], f"{key}: {list(tensor.shape)} instead of {about['shape']}"
        sample = tensor.detach().contiguous().reshape(-1)[:: about["step"]].double().numpy()
        return float(np.abs(sample - self.arrays[key]).max() / about["absmax"])
