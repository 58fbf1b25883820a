"""What parts of a model remember of a training that is neither parameter nor buffer: a pool of images, say.

It differs from process to process and has the size that it has, so it is in no state dict; but a training that is
continued needs it to the bit. A part that has such a memory has two methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Remembers(Protocol):
    """A module with a memory."""

    def memory(self) -> dict[str, Tensor]:
        """All of it, by names; empty where there is nothing yet."""
        ...

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Have exactly this memory."""
        ...


def memories(model: nn.Module) -> dict[str, Tensor]:
    """Those of all parts of ``model``, on the host, under the parts' names."""
    parts = ((name, part) for name, part in model.named_modules() if isinstance(part, Remembers))
    return {f"{name}:{key}": value.cpu() for name, part in parts for key, value in part.memory().items()}


def recall(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of :func:`memories`; tensors move to where the model is."""
    device = next(model.parameters()).device
    for name, part in model.named_modules():
        if isinstance(part, Remembers):
            own = {key: value for key, value in tensors.items() if key.startswith(f"{name}:")}
            part.recall({key.removeprefix(f"{name}:"): value.to(device) for key, value in own.items()})
