"""torch.export's packages (``.pt2``): the graph as torch's own operators, run by torch without the model's code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baimu.errors import CheckpointError
from baimu.runtimes.archive_card import add_card, read_card
from baimu.runtimes.card import Card


def save(graph: Any, path: Path, card: Card) -> None:
    """Write an ``ExportedProgram``. Into memory first: torch's own writer ends the whole process on a full disk."""
    buffer = io.BytesIO()
    torch.export.save(graph, buffer)
    path.write_bytes(buffer.getbuffer())
    add_card(path, card)


class TorchSession:
    def __init__(self, run: Any, card: Card, device: torch.device) -> None:
        self.card, self._run, self.device = card, run, device

    @torch.inference_mode()
    def run(self, *inputs: Tensor) -> Sequence[Tensor]:
        found = self._run(*(x.to(self.device).contiguous() for x in inputs))  # compiled code reads them as they lie
        return found if isinstance(found, tuple | list) else (found,)


def open_session(path: Path, *, threads: int, device: str | None) -> TorchSession:
    """``threads`` are torch's own; a program runs on the ``device`` it was exported for."""
    from baimu.runtimes.operators import register

    register()

    del threads
    card = read_card(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises whatever its readers do
        raise CheckpointError(f"{path}: cannot be loaded by torch {torch.__version__} ({error})") from None
    where = next(iter(program.state_dict.values()), torch.zeros(0)).device
    if device is not None and torch.device(device).type != where.type:
        raise CheckpointError(f"{path}: was exported for {where.type}; export the model on {device}")
    return TorchSession(program.module(check_guards=False), card, where)
