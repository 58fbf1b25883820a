"""The mean over processes of a single process; several are in the engine's tests."""

from __future__ import annotations

import torch

from baimu.ops.distributed import reduce_mean


def test_alone_it_is_the_value_without_gradient() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    mean = reduce_mean(value * 2)
    assert mean.item() == 6.0
    assert not mean.requires_grad
