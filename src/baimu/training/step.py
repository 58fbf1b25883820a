"""The module that data-parallel wrappers, the compiler and autocast see, and the phases that a step consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baimu.errors import TrainingError


class TrainStep(nn.Module):
    """``forward(phase, inputs, targets)`` calls the model's losses method named ``phase`` on normalised inputs, and
    adds the ``penalties`` on its weights.

    Only this module is wrapped by DDP or FSDP, compiled, and run under autocast, never the model: a wrapper
    synchronises what passes through its ``forward`` and nothing else, so that ``wrapped.module.losses(…)`` would
    train each process on its own without an error.
    """

    def __init__(
        self, model: nn.Module, *, channels_last: bool = False, penalties: Callable[[], dict[str, Tensor]] | None = None
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.channels_last = channels_last
        self.penalties = penalties

    def forward(self, phase: str, inputs: Tensor, targets: Any) -> dict[str, Tensor]:
        """Weighted float32 scalars by name, whose sum is minimised; ``inputs`` are :class:`~baimu.targets.Batch`'s."""
        inputs = self.model.preprocess.normalize(inputs, targets.sizes)
        if self.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        losses = getattr(self.model, phase)(inputs, targets)
        return losses if self.penalties is None else {**losses, **self.penalties()}


@dataclass(frozen=True)
class PhaseSpec:
    """One part of a training step: the model's method that gives its losses, and the parameters that learn from it.

    ``parts`` names the model's children whose parameters learn; none means all. A detector has the one phase
    ``PhaseSpec("losses")``; a GAN has ``PhaseSpec("d_losses", ("discriminator",))`` and
    ``PhaseSpec("g_losses", ("generator",))``, which the loop runs one after the other on the same batch.
    """

    method: str
    parts: tuple[str, ...] = ()

    def parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The trainable parameters of this phase by their names in ``model``."""
        inside = tuple(f"{part}." for part in self.parts)
        named = model.named_parameters()
        return {n: p for n, p in named if p.requires_grad and (not inside or n.startswith(inside))}


@dataclass
class Phase:
    """A phase at work: the wrapped step, its parameters by name, their optimiser and their schedule."""

    method: str
    step: nn.Module
    parameters: dict[str, nn.Parameter]
    others: Sequence[nn.Parameter]  # those that learn in other phases only
    optimizer: Any  # accelerate's wrapper of a torch optimiser
    schedule: torch.optim.lr_scheduler.LambdaLR

    def begin(self) -> None:
        """Only this phase's parameters collect gradients from here on, starting from none."""
        for parameter in self.others:
            parameter.requires_grad_(False)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        self.optimizer.zero_grad()

    def update(self) -> None:
        """Change the parameters. The schedule waits with a step that fp16 scaling skipped for an overflow.

        Raises :class:`~baimu.errors.TrainingError` where there is no memory for it: some may have changed by then, so
        the step cannot be done again.
        """
        try:
            self.optimizer.step()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                "what the optimiser keeps of each parameter does not fit into memory beside the model; the last "
                "checkpoint is intact. Use one that keeps less (sgd), precision=bf16 or a smaller batch in a new run"
            ) from error
        if not self.optimizer.step_was_skipped:
            self.schedule.step()

    @property
    def lr(self) -> float:
        """The present rate of the first group, the plain weights."""
        return float(self.schedule.get_last_lr()[0])
