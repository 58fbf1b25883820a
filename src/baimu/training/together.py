"""What several processes have each done a share of, brought together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

Result = TypeVar("Result")


def together(accelerator: Accelerator | None, share: Any, finish: Callable[[list[Any]], Result]) -> Result:
    """``finish`` of the shares of all processes, by their ranks: done in the first, given to each. Every process must
    call this; ``None`` means that there is only this one."""
    if accelerator is None or accelerator.num_processes == 1:
        return finish([share])
    shares = gather_object([share])
    result: list[Any] = [finish(shares) if accelerator.is_main_process else None]
    return broadcast_object_list(result)[0]


def place_of(accelerator: Accelerator | None) -> tuple[int, int]:
    """This process's rank, and how many there are."""
    return (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)


def in_turn(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The items whose share r holds those of number r, r + n, …"""
    items: list[Any] = [None] * sum(map(len, shares))
    for rank, share in enumerate(shares):
        items[rank :: len(shares)] = share
    return items
