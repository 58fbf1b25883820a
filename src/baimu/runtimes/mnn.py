"""MNN (``.mnn``), Alibaba's engine for phones and small machines."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import BaimuError, CheckpointError
from baimu.runtimes.card import Card


def save(onnx_file: Path, path: Path, card: Card) -> None:
    """Convert an ONNX file. The card is the file's business code, the one text that MNN keeps.

    The converter itself, in a process of its own, for it ends the one it runs in when it fails. (MNN's command line
    around it would install a package and report its use.)
    """
    command = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)", "-f", "ONNX"]
    command += ["--modelFile", str(onnx_file)]
    command += ["--MNNModel", str(path), "--bizCode", card.to_json()]
    if card.precision == "fp16":
        command.append("--fp16")
    if card.precision == "int8":
        command += ["--weightQuantBits", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not path.exists():
        said = (done.stdout + done.stderr).strip().splitlines()
        raise BaimuError(f"{path}: MNN cannot convert this model (exit code {done.returncode}): {' '.join(said[-3:])}")


class MNNSession:
    def __init__(self, path: Path, threads: int) -> None:
        mnn: Any = importlib.import_module("MNN")
        try:
            runtime = mnn.nn.create_runtime_manager(({"numThread": threads, "backend": "CPU", "precision": "high"},))
            self._net: Any = mnn.nn.load_module_from_file(str(path), [], [], runtime_manager=runtime)
        except Exception as error:  # MNN's errors have no common class
            raise CheckpointError(f"{path}: MNN cannot load it ({error})") from None
        self.card = Card.from_json(self._net.get_info().get("bizCode"), path)

    def run(self, *inputs: Tensor) -> Sequence[Tensor]:
        expr: Any = importlib.import_module("MNN").expr
        kinds = {torch.uint8: expr.uint8, torch.int64: expr.int, torch.float32: expr.float}
        given = []
        for x in inputs:
            x = x.to(torch.int32) if x.dtype == torch.int64 else x
            data = np.ascontiguousarray(x.cpu().numpy())
            given.append(expr.const(data.ravel(), list(data.shape), expr.NCHW, kinds.get(x.dtype, expr.int)))
        found = self._net.forward(given)
        found = found if isinstance(found, list | tuple) else [found]
        return [torch.from_numpy(np.array(expr.convert(x, expr.NCHW).read())) for x in found]


def open_session(path: Path, *, threads: int, device: str | None) -> MNNSession:
    if device not in (None, "cpu"):
        raise BaimuError(f"device={device}: baimu runs MNN on the CPU")
    return MNNSession(path, threads)
