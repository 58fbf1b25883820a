"""Golden files (``.npz``) and the rules that their README gives: weights, images, annotations and stored samples.

A file holds what a reference computed; what it was computed from is made again here, from names and numbers.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import DataError
from baimu.targets import Targets

BOXES = (
    ((0.06, 0.10, 0.45, 0.62), (0.50, 0.08, 0.94, 0.55), (0.30, 0.55, 0.62, 0.93), (0.70, 0.66, 0.86, 0.90)),
    ((0.10, 0.15, 0.70, 0.80), (0.62, 0.10, 0.93, 0.42), (0.25, 0.30, 0.40, 0.50)),
)
"""Of each image, as fractions of its valid width and height."""


@dataclass(frozen=True)
class Golden:
    """One file: its arrays, what its header says, and the weights, images and targets that its rules make."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Golden:
        """Raises :class:`~baimu.errors.DataError`, which starts with the path, for what is no golden file."""
        with _opened(path) as file:
            arrays = dict(file)
            del arrays["meta"]
            return cls(arrays, _header(file))

    def state(self) -> dict[str, Tensor]:
        """The reference's parameters under its own names; constants (kind ``c``) are left to the model."""
        state: dict[str, Tensor] = {}
        for name, shape, kind, scale in self.meta["state"]:
            if kind == "a":
                state[name] = state[scale]
            elif kind != "c":
                state[name] = torch.from_numpy(np.asarray(filled(name, shape, kind, scale), dtype=np.float32))
        return state

    def images(self) -> Tensor:
        """The batch (2, 3, H, W), as the network itself gets it."""
        noise = np.random.RandomState(0).standard_normal(self.meta["image_shape"]).astype(np.float32)
        return torch.from_numpy(noise * np.float32(self.meta["input_scale"]))

    def targets(self) -> Targets:
        """Boxes and labels of both images, and the ellipses in the boxes where the file is of masks."""
        boxes, labels, masks = [], [], []
        for i, (height, width) in enumerate(self.meta["img_shapes"]):
            x1, y1, x2, y2 = (np.asarray(BOXES[i]) * (width, height, width, height)).T
            corners = [np.floor(x1) + 0.25, np.floor(y1) + 0.25, np.floor(x2) + 0.75, np.floor(y2) + 0.75]
            boxes.append(torch.from_numpy(np.stack(corners, 1).astype(np.float32)))
            labels.append((3 * i + 2 * torch.arange(len(x1)) + 1) % self.meta["num_classes"])
            masks.append(_ellipses(boxes[-1].double(), *self.meta["image_shape"][2:]))
        sizes = [(height, width) for height, width in self.meta["img_shapes"]]
        return Targets.collate(boxes, labels, sizes, masks if self.meta["masks"] else None)

    def difference(self, key: str, tensor: Tensor) -> float:
        """Largest difference from the stored sample, relative to the whole tensor's largest magnitude; ``inf`` where
        the shapes differ."""
        about = self.meta["tensors"][key]
        if list(tensor.shape) != about["shape"]:
            return float("inf")
        sample = tensor.detach().contiguous().reshape(-1)[:: about["step"]].double().numpy()
        return float(np.abs(sample - self.arrays[key]).max() / about["absmax"])


def header(path: Path) -> dict[str, Any]:
    """``meta`` alone, without reading the arrays; errors as of :meth:`Golden.read`."""
    with _opened(path) as file:
        return _header(file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (KeyError, AttributeError, TypeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: no golden file: its array 'meta' must be JSON that names its 'source'") from error
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a readable .npz file ({error}); fetch it again") from error


def _header(file: Any) -> dict[str, Any]:
    meta = json.loads(file["meta"].item())
    return {"source": meta["source"], **meta}


def golden_files(folder: Path) -> list[Path]:
    """Every ``.npz`` file below ``folder``; :class:`~baimu.errors.DataError` where there is none."""
    files = sorted(folder.rglob("*.npz"))
    if not files:
        kind = "holds no .npz file" if folder.is_dir() else "is not a folder"
        raise DataError(f"{folder} {kind}: give the folder of the golden files, as make parity GOLDENS=FOLDER")
    return files


def filled(name: str, shape: list[int], kind: str, scale: float) -> np.ndarray:
    """The rule of the weights (kinds ``w``, ``s``, ``b``, ``v``, ``0``): noise of the name's own seed."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if kind == "w":
        return noise * scale
    if kind == "s":
        return (1 + 0.1 * noise) * scale
    return {"b": 0.1 * noise, "v": 1 + 0.1 * np.abs(noise), "0": noise * 0}[kind]


def _ellipses(boxes: Tensor, height: int, width: int) -> Tensor:
    """(n, H, W) bool: pixels whose centre lies strictly inside the ellipse inscribed in each box."""
    x1, y1, x2, y2 = boxes.T[..., None, None]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    across, down = (2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)
    return across**2 + down**2 < 1
