"""ONNX (``.onnx``), executed by ONNX Runtime."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import BaimuError, CheckpointError
from baimu.runtimes.card import KEY, Card

OPSET = 18
LARGEST = 2**31 - 2**20
"""Bytes of one protobuf message; the weights of a larger model lie in a file beside it."""


def to_onnx(program: Any, names: Sequence[str], outputs: Sequence[str]) -> Any:
    """torch's ``ExportedProgram`` as an ``onnx.ModelProto``."""
    from baimu.runtimes.onnx_operators import table

    with quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            custom_translation_table=table(),
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(outputs),
            verbose=False,
            optimize=True,
        )
    assert made is not None
    return made.model_proto


def save(proto: Any, path: Path, card: Card) -> None:
    import onnx

    onnx.helper.set_model_props(proto, {KEY: card.to_json()})
    large = proto.ByteSize() > LARGEST
    if large:
        onnx.save(proto, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        onnx.save(proto, str(path))


class OnnxSession:
    """``provider`` is ONNX Runtime's name of what it computes on."""

    def __init__(self, path: Path, threads: int, device: str | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what fails is raised, and told there
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device))
        except BaimuError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise CheckpointError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from None
        self.card = Card.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        self._names = [one.name for one in self._session.get_inputs()]

    def run(self, *inputs: Tensor) -> Sequence[Tensor]:
        given = {name: np.ascontiguousarray(x.cpu().numpy()) for name, x in zip(self._names, inputs, strict=True)}
        return [torch.from_numpy(np.asarray(found)) for found in self._session.run(None, given)]


def open_session(path: Path, *, threads: int, device: str | None) -> OnnxSession:
    return OnnxSession(path, threads, device)


def _providers(device: str | None) -> list[str]:
    import onnxruntime

    if device in (None, "cpu"):
        return ["CPUExecutionProvider"]
    wanted = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}.get(str(device).partition(":")[0])
    here = onnxruntime.get_available_providers()
    if wanted is None or wanted not in here:
        raise BaimuError(f"device={device}: this ONNX Runtime computes on {', '.join(here)}; install the build for it")
    return [wanted, "CPUExecutionProvider"]


def to_fp16(proto: Any) -> Any:
    """Weights and arithmetic in half precision; inputs, outputs, boxes and their suppression stay as they are."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    left = [*DEFAULT_OP_BLOCK_LIST, "NonMaxSuppression", "RoiAlign", "TopK", "ScatterND", "GatherND"]
    with quiet():
        return convert_float_to_float16(proto, keep_io_types=True, op_block_list=left, disable_shape_infer=False)


def to_int8(proto: Any, inputs: Iterable[Sequence[Tensor]], folder: Path) -> Any:
    """Convolutions and matrix products in 8 bits, their ranges taken from ``inputs`` (static, QDQ, a scale a channel);
    ``folder`` is for files on the way."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    names = [one.name for one in proto.graph.input]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Sequence[Tensor]] = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.rest, None)
            return None if batch is None else {n: x.numpy() for n, x in zip(names, batch, strict=True)}

    before, ready, after = (str(folder / f"{name}.onnx") for name in ("before", "ready", "after"))
    onnx.save(proto, before)
    with quiet():
        quant_pre_process(before, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            after,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],  # in 8 bits the sums that decode boxes miss by pixels
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
    return onnx.load(after)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters tell of themselves."""
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
