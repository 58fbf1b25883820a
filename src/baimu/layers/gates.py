"""Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma 2017), arXiv 1712.01312.

The number of weights that are not zero has no gradient. Each group of weights gets a random gate in 0…1 that is exactly
0, and exactly 1, with a probability that has one: a binary concrete variable, stretched beyond 0…1 and cut off there.
The expected number of open gates is the penalty (:mod:`baimu.training.penalties`); a gate that the task does not pay
for closes, and its weights are exactly zero in evaluation.

Differences from the paper: none in the equations. A convolution has one gate a filter, a linear layer one an input,
as in the authors' code, which also keeps log alpha within log 0.01…log 100; there a convolution's bias is gated in
evaluation and left out in training, here a gate is on the weight alone. Dims: G gates.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
"""gamma, zeta and beta of §4."""
_BOUND = math.log(100.0)
_EPS = 1e-6  # keeps the logarithms of the noise finite

Model = TypeVar("Model", bound=nn.Module)


class HardConcrete(nn.Module):
    """Multiplies a weight by a gate for each slice along ``dim``: drawn anew in training, fixed in evaluation.

    ``drop`` is the share of gates that are about closed at the start: ``log_alpha`` (G,) begins around
    ``log(1 − drop) − log(drop)``.
    """

    def __init__(self, weight: Tensor, dim: int, *, drop: float = 0.5) -> None:
        super().__init__()
        self.shape = [-1 if i == dim else 1 for i in range(weight.dim())]
        self.group = weight.numel() // weight.shape[dim]  # weights behind one gate
        start = torch.empty(weight.shape[dim], device=weight.device)
        self.log_alpha = nn.Parameter(start.normal_(math.log(1 - drop) - math.log(drop), 0.01))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.gates().view(self.shape).to(weight.dtype)

    def gates(self) -> Tensor:
        """(G,) in 0…1: a draw in training (Eq. 10, 11), in evaluation the one that stands for all draws (Eq. 13)."""
        if self.training:
            noise = torch.rand_like(self.log_alpha).clamp(_EPS, 1 - _EPS)
            soft = ((noise.log() - (-noise).log1p() + self.log_alpha) / TEMPERATURE).sigmoid()
        else:
            soft = self.log_alpha.sigmoid()
        return (soft * (HIGH - LOW) + LOW).clamp(0, 1)

    def open_probability(self) -> Tensor:
        """(G,) the probability that a drawn gate is not zero (Eq. 12)."""
        return (self.log_alpha - TEMPERATURE * math.log(-LOW / HIGH)).sigmoid()

    @torch.no_grad()
    def keep_in_bounds(self) -> None:
        """Called after each step: a gate that is all but certain would have no gradient to come back with."""
        self.log_alpha.clamp_(-_BOUND, _BOUND)


def add_gates(model: nn.Module, names: Collection[str], *, drop: float = 0.5) -> list[str]:
    """Put gates on the trainable weights of convolutions and linear layers that are named (``head.weight``).

    Weights that have gates keep them. Returns the names of all gated weights.
    """
    gated = []
    for path, layer in model.named_modules():
        if not isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            continue
        name = f"{path}.weight".removeprefix(".")
        if not _gate(layer) and layer.weight.requires_grad and name in names:
            dim = 0 if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) else 1  # transposed: outputs are second
            parametrize.register_parametrization(layer, "weight", HardConcrete(layer.weight, dim, drop=drop))
        if _gate(layer):
            gated.append(name)
    return gated


def gates_of(model: nn.Module) -> Iterator[HardConcrete]:
    """All gates of a model, in the order of its layers."""
    return (module for module in model.modules() if isinstance(module, HardConcrete))


def remove_gates(model: Model) -> Model:
    """``model`` itself, in which each gated weight has become what it is in evaluation, zeros included."""
    for layer in list(model.modules()):
        gate = _gate(layer)
        if gate:
            gate.eval()
            kind: Any = type(layer)  # torch takes the weight's property from the class, which copies of the layer share
            layer.__class__ = type(kind.__name__, kind.__bases__, dict(vars(kind)))
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model


def without_gates(model: Model) -> Model:
    """A copy as :func:`remove_gates` would leave it; a model that has no gates is given back as it is."""
    return remove_gates(copy.deepcopy(model)) if any(gates_of(model)) else model


def _gate(layer: nn.Module) -> HardConcrete | None:
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    parametrizations: Any = layer.parametrizations
    first = parametrizations["weight"][0]
    return first if isinstance(first, HardConcrete) else None
