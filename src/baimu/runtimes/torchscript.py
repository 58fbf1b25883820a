"""TorchScript (``.torchscript``): a trace, for programs that still load that."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from baimu.errors import CheckpointError
from baimu.runtimes.archive_card import add_card, read_card
from baimu.runtimes.card import Card
from baimu.runtimes.torch_export import TorchSession


def trace(graph: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(graph, inputs, check_trace=False, strict=False)


def save(graph: Any, path: Path, card: Card) -> None:
    """Write a traced module. Into memory first: torch's own writer ends the whole process on a full disk."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(graph, buffer)
    path.write_bytes(buffer.getbuffer())
    add_card(path, card)


def open_session(path: Path, *, threads: int, device: str | None) -> TorchSession:
    from baimu.runtimes.operators import register

    register()

    del threads
    card = read_card(path)
    where = torch.device(device or "cpu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.jit.load(str(path), map_location=where).eval()
    except Exception as error:  # torch raises whatever its reader does
        raise CheckpointError(f"{path}: cannot be loaded by torch {torch.__version__} ({error})") from None
    return TorchSession(module, card, where)
