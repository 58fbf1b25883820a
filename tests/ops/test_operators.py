"""Operators that graphs hold whole: what compilers are told of a result, its strides too, is what comes.

A compiled Faster R-CNN read another memory order than the one RoI align had written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from baimu.runtimes.operators import register

register()
B, N, C = 2, 5, 8


def maps(format: torch.memory_format) -> list[Tensor]:
    return [torch.rand(B, C, side, side + 2).to(memory_format=format) for side in (12, 6)]


def boxes() -> Tensor:
    corner = 20 * torch.rand(B, N, 2)
    return torch.cat([corner, corner + 4 + 16 * torch.rand(B, N, 2)], -1)


CALLS: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
    "roi_align": lambda: (
        torch.ops.baimu.roi_align,
        (maps(torch.contiguous_format), boxes(), torch.arange(N).expand(B, N) % 2, [4.0, 8.0], 3, 0, True),
    ),
    "roi_align of maps whose channels are last": lambda: (
        torch.ops.baimu.roi_align,
        (maps(torch.channels_last), boxes(), torch.arange(N).expand(B, N) % 2, [4.0, 8.0], 3, 2, False),
    ),
    "keep_best": lambda: (
        torch.ops.baimu.keep_best,
        (boxes(), torch.rand(B, N), torch.zeros(B, N, dtype=torch.int64), 0.5),
    ),
    "keep_best of scores that do not lie together": lambda: (
        torch.ops.baimu.keep_best,
        (boxes(), torch.rand(N, B).t(), torch.zeros(B, N, dtype=torch.int64), 0.5),
    ),
    "lstm": lambda: (torch.ops.baimu.lstm, (torch.rand(B, N, C), list(torch.nn.LSTM(C, 6).parameters()))),
}


@pytest.mark.parametrize("call", CALLS)
@torch.no_grad()
def test_what_is_told_is_what_comes(call: str) -> None:
    operator, arguments = CALLS[call]()
    come = operator(*arguments)
    with FakeTensorMode() as mode:
        told = operator(*torch.utils._pytree.tree_map_only(Tensor, mode.from_tensor, arguments))
    assert (told.shape, told.dtype, told.stride()) == (come.shape, come.dtype, come.stride())
