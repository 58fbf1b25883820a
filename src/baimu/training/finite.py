"""Stops a training on the first figure that is not a finite number, without making the host wait for a GPU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from baimu.errors import TrainingError
from baimu.training.sharding import whole


@dataclass(frozen=True)
class Look:
    figures: Tensor  # (F,) on the host, valid once ``ready`` has happened
    ready: torch.cuda.Event | None
    keys: tuple[str, ...]
    images: tuple[str, ...]
    step: int
    parameters: Mapping[str, nn.Parameter] = field(default_factory=dict)  # those whose gradients the figures are of


class FiniteWatch:
    """Looks at every loss of every step; :class:`~baimu.errors.TrainingError` names entry, step and images.

    On a CPU a figure is looked at as soon as it is there, before it can change a weight. On a GPU reading it would
    stop the queue of kernels at every step. There the figures are copied to pinned memory behind the kernels that
    make them, and read one step later, when that copy has long happened; :meth:`settle` reads what is left, and the
    loop calls it before anything is evaluated or saved, so that no file ever holds weights that came after such a loss.
    """

    def __init__(self) -> None:
        self._waiting: list[Look] = []

    def look(
        self,
        figures: Mapping[str, Tensor],
        images: Sequence[str],
        step: int,
        parameters: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        """Take the scalars ``figures`` of step ``step`` (1 is the first), computed from the named ``images``; of the
        ``parameters`` those are named that are not finite, or have gradients that are not."""
        values = torch.stack([whole(value.detach()).float() for value in figures.values()])
        ready = None
        if values.is_cuda:
            self.settle(before=step)
            host = torch.empty(values.shape, pin_memory=True)
            host.copy_(values, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record()
            values = host
        self._waiting.append(Look(values, ready, tuple(figures), tuple(images), step, parameters or {}))
        if ready is None:
            self.settle()

    def settle(self, before: int | None = None) -> None:
        """Read what is waiting, of steps earlier than ``before`` only if given."""
        while self._waiting and (before is None or self._waiting[0].step < before):
            look = self._waiting.pop(0)
            if look.ready is not None:
                look.ready.synchronize()
            for key, value in zip(look.keys, look.figures.tolist(), strict=True):
                if not math.isfinite(value):
                    raise TrainingError(_message(key, value, look))


def _message(key: str, value: float, look: Look) -> str:
    wrong = [name for name, parameter in look.parameters.items() if not _finite(parameter)]
    return (
        f"{key} is {value} at step {look.step}; images: {_some(look.images)}. The last checkpoint is intact. "
        f"{f'Not finite: {_some(wrong)}. ' if wrong else ''}"
        "Look at these images and their boxes; else lower lr, set clip_norm, or use precision=fp32"
    )


def _finite(parameter: nn.Parameter) -> bool:
    """Whether it and its gradient are. On a GPU, the gradient may be gone by now, but the parameter has learned it."""
    return all(t is None or bool(whole(t).isfinite().all()) for t in (parameter.detach(), parameter.grad))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
