"""RMSProp as TensorFlow has it, which the recipes of Inception and EfficientNet were tuned for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

KERNELS: Any = torch  # its _foreach functions: one kernel for all tensors of a list


class RMSPropTF(torch.optim.Optimizer):
    """``s ← alpha s + (1 − alpha) g²``, ``v ← momentum v + lr g / √(s + eps)``, ``w ← w − v``.

    Differences from ``torch.optim.RMSprop``: eps lies inside the root, so that 0.001 bounds the divisor to 0.03;
    s starts at 1 instead of 0, so that the first steps are small; the rate lies inside the momentum, so that a
    drop of the rate takes effect over 1 / (1 − momentum) steps. ``weight_decay`` is added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        *,
        alpha: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """One kernel an operation for all parameters of a group."""
        for p in parameters:
            if not self.state[p]:
                self.state[p]["square_avg"] = torch.ones_like(p)
                if group["momentum"]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        squares = [self.state[p]["square_avg"] for p in parameters]
        gradients: Any = [p.grad for p in parameters]
        if group["weight_decay"]:
            gradients = KERNELS._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        KERNELS._foreach_mul_(squares, group["alpha"])
        KERNELS._foreach_addcmul_(squares, gradients, gradients, value=1 - group["alpha"])

        roots = KERNELS._foreach_add(squares, group["eps"])
        KERNELS._foreach_sqrt_(roots)
        moves: Any = KERNELS._foreach_div(gradients, roots)
        KERNELS._foreach_mul_(moves, group["lr"])
        if group["momentum"]:
            velocities = [self.state[p]["momentum_buffer"] for p in parameters]
            KERNELS._foreach_mul_(velocities, group["momentum"])
            KERNELS._foreach_add_(velocities, moves)
            moves = velocities
        KERNELS._foreach_sub_(parameters, moves)
