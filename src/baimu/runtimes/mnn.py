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
    import onnx

    proto = onnx.load(onnx_file)
    rewrite(proto.graph)
    onnx.save(proto, str(onnx_file))
    command = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)", "-f", "ONNX"]
    command += ["--modelFile", str(onnx_file), "--useOriginRNNImpl"]  # its loop in the place of an LSTM crashes it
    command += ["--MNNModel", str(path), "--bizCode", card.to_json()]
    if card.precision == "fp16":
        command.append("--fp16")
    if card.precision == "int8":
        command += ["--weightQuantBits", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not path.exists():
        said = (done.stdout + done.stderr).strip().splitlines()
        raise BaimuError(
            f"{path.name}: MNN cannot convert this model (exit code {done.returncode}): {' '.join(said[-3:])}"
        )


def rewrite(graph: Any) -> None:
    """Without the questions that MNN cannot ask: NaN differs from itself, and what is infinite is larger than 3e38."""
    from onnx import TensorProto, helper

    largest = helper.make_tensor("baimu_largest", TensorProto.FLOAT, [], [3e38])
    nodes = []
    for node in graph.node:
        first, second = {"IsNaN": ("Equal", "Not"), "IsInf": ("Abs", "Greater")}.get(node.op_type, ("", ""))
        if not first:
            nodes.append(type(node).FromString(node.SerializeToString()))
            continue
        (asked,), (told,) = node.input, node.output
        before = f"{told}_before"
        nodes.append(helper.make_node(first, [asked, asked] if first == "Equal" else [asked], [before]))
        nodes.append(helper.make_node(second, [before] if second == "Not" else [before, largest.name], [told]))
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(largest)


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
        whole = [x.to(torch.int32) if x.dtype == torch.int64 else x for x in inputs]
        data = [np.ascontiguousarray(x.cpu().numpy()) for x in whole]  # alive until all is read: MNN does not copy it
        given = [
            expr.const(array.ravel(), list(array.shape), expr.NCHW, kinds.get(x.dtype, expr.int))
            for array, x in zip(data, whole, strict=True)
        ]
        found = self._net.forward(given)
        found = found if isinstance(found, list | tuple) else [found]
        return [torch.from_numpy(np.array(expr.convert(x, expr.NCHW).read())) for x in found]


def open_session(path: Path, *, threads: int, device: str | None) -> MNNSession:
    if device not in (None, "cpu"):
        raise BaimuError(f"device={device}: baimu runs MNN on the CPU")
    return MNNSession(path, threads)
