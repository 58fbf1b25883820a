"""Tensors that FSDP keeps in pieces, one a process: how to make them whole and how to cut a whole one alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def whole(tensor: Any) -> Tensor:
    """A sharded tensor (DTensor) gathered from all processes, which must all ask; any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def laid_out_like(parameter: Any, value: Tensor) -> Tensor:
    """``value`` on the parameter's device, with its sharding and its strides, as if it had been computed there."""
    if hasattr(parameter, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor  # a second to import, which only sharding is worth

        return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def gather(model: nn.Module, into: nn.Module) -> nn.Module:
    """``into``, a copy of the sharded ``model`` that was taken before it was cut, with its present values."""
    into.load_state_dict({name: whole(tensor) for name, tensor in model.state_dict().items()})
    return into
