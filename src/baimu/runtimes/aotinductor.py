"""AOTInductor's packages (``.aoti.pt2``): machine code that inductor made of the graph, for machines like this one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from baimu.errors import CheckpointError
from baimu.runtimes.archive_card import add_card, read_card
from baimu.runtimes.card import Card
from baimu.runtimes.torch_export import TorchSession


def save(graph: Any, path: Path, card: Card) -> None:
    """Compile an ``ExportedProgram``; this takes a minute or several, and needs a C++ compiler."""
    import torch._inductor as inductor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inductor.aoti_compile_and_package(graph, package_path=str(path), inductor_configs={"freezing": True})
    add_card(path, card)


def open_session(path: Path, *, threads: int, device: str | None) -> TorchSession:
    import torch._inductor as inductor

    from baimu.runtimes.operators import register

    register()

    del threads
    card = read_card(path)
    try:
        package = inductor.aoti_load_package(str(path))
    except Exception as error:  # torch raises whatever its loader does
        raise CheckpointError(
            f"{path}: cannot be loaded by torch {torch.__version__} on this machine ({error}); compile it here"
        ) from None
    return TorchSession(package, card, torch.device(device or "cpu"))
