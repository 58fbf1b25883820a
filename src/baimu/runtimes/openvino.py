"""OpenVINO (``.xml`` with its ``.bin``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import BaimuError, CheckpointError
from baimu.runtimes.card import KEY, Card
from baimu.runtimes.onnx import quiet
from baimu.runtimes.silent import silent_import


def to_openvino(onnx_file: Path) -> Any:
    """An ``openvino.Model`` of an ONNX file."""
    openvino = silent_import("openvino")

    return openvino.Core().read_model(str(onnx_file))


def save(model: Any, path: Path, card: Card) -> None:
    openvino = silent_import("openvino")

    model.set_rt_info(card.to_json(), [KEY])
    openvino.save_model(model, str(path), compress_to_fp16=card.precision == "fp16")


class OpenVINOSession:
    def __init__(self, path: Path, threads: int, device: str | None) -> None:
        openvino = silent_import("openvino")

        core = openvino.Core()
        try:
            model = core.read_model(str(path))
        except RuntimeError as error:
            raise CheckpointError(f"{path}: OpenVINO cannot read it ({str(error).splitlines()[-1]})") from None
        text = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
        self.card = Card.from_json(text, path)
        where = (device or "cpu").upper().replace("CUDA", "GPU")
        if where.partition(":")[0] not in {one.partition(".")[0] for one in core.available_devices}:
            raise BaimuError(f"device={device}: OpenVINO computes on {', '.join(core.available_devices)} here")
        hints: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if where == "CPU":
            precision = {"bf16": "bf16", "fp16": "f16"}.get(self.card.precision, "f32")
            hints |= {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        self._compiled = core.compile_model(model, where, hints)

    def run(self, *inputs: Tensor) -> Sequence[Tensor]:
        found = self._compiled([np.ascontiguousarray(x.cpu().numpy()) for x in inputs])
        return [torch.from_numpy(np.array(found[output])) for output in self._compiled.outputs]


def open_session(path: Path, *, threads: int, device: str | None) -> OpenVINOSession:
    return OpenVINOSession(path, threads, device)


def to_int8(model: Any, inputs: Iterable[Sequence[Tensor]]) -> Any:
    """Convolutions and matrix products in 8 bits, their ranges taken from ``inputs`` by NNCF."""
    try:
        nncf = silent_import("nncf")
    except ModuleNotFoundError:
        raise BaimuError("int8 needs nncf; install it with: pip install 'baimu[openvino]'") from None
    batches = [[x.numpy() for x in batch] for batch in inputs]
    with quiet():
        data: Any = nncf.Dataset(batches, lambda batch: batch[0] if len(batch) == 1 else tuple(batch))
        return nncf.quantize(model, data, subset_size=len(batches))
