"""L0, L1 and L2 as parts of the loss, on the parameters that a recipe names.

Unlike ``weight_decay`` they stand in the loss dict and in results.csv, and are meant for chosen parameters. In value
``l2=c`` is ``weight_decay=c`` of every optimiser that adds the decay to the gradient, for the gradient of c w² / 2 is
c w. adamw takes the decay off the weight beside the gradient, which is not the same thing (1711.05101).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baimu.errors import TrainingError, unknown
from baimu.layers.gates import HardConcrete, add_gates
from baimu.recipes import Recipe
from baimu.training.sharding import whole


@dataclass(frozen=True)
class Weight:
    """A parameter by the module that has it, which stays when sharding puts another tensor in its place."""

    name: str  # as the model without gates calls it
    path: str  # as the model calls it
    owner: Any
    attribute: str
    gate: HardConcrete | None

    def total(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """The sum of ``of`` over the elements, float32; of gated ones its mean over all draws of the gates."""
        values = of(getattr(self.owner, self.attribute).float())
        if self.gate is not None:
            values = values * self.gate.open_probability().view(self.gate.shape)
        return whole(values.sum())


class Penalties:
    """Called in each step: the weighted penalties on some weights as loss entries ``l0``, ``l1``, ``l2``."""

    def __init__(self, weights: list[Weight], recipe: Recipe) -> None:
        self.weights, self.recipe = weights, recipe

    def __call__(self) -> dict[str, Tensor]:
        """``l0 Σ P(gate open)`` over gated weights, ``l1 Σ |w|``, ``l2 Σ w² / 2``: those that the recipe asks for."""
        recipe, terms = self.recipe, {}
        gates = [weight.gate for weight in self.weights if weight.gate is not None]
        if recipe.l0 and gates:
            terms["l0"] = recipe.l0 * torch.stack([gate.open_probability().sum() * gate.group for gate in gates]).sum()
        if recipe.l1 and self.weights:
            terms["l1"] = recipe.l1 * torch.stack([weight.total(torch.abs) for weight in self.weights]).sum()
        if recipe.l2 and self.weights:
            terms["l2"] = recipe.l2 / 2 * torch.stack([weight.total(torch.square) for weight in self.weights]).sum()
        return terms


def build_penalties(model: nn.Module, names: Collection[str], recipe: Recipe) -> Penalties | None:
    """The recipe's penalties on those of the trainable parameters ``names`` that it means, if it has any."""
    if not (recipe.l0 or recipe.l1 or recipe.l2):
        return None
    return Penalties([weight for weight in meant(model, recipe) if weight.path in names], recipe)


def gate_weights(model: nn.Module, recipe: Recipe) -> None:
    """For a recipe with ``l0``, put gates on the convolutions and linear layers that it means, unless they are there.

    Raises :class:`~baimu.errors.TrainingError` where it means none.
    """
    if recipe.l0 and not add_gates(model, {weight.name for weight in meant(model, recipe)}, drop=recipe.l0_drop):
        raise TrainingError(
            "l0 puts gates on convolutions and linear layers that learn, and the recipe means none of them; "
            f"change penalized={','.join(recipe.penalized)}"
        )


def meant(model: nn.Module, recipe: Recipe) -> list[Weight]:
    """The trainable parameters that ``recipe.penalized`` names; a pattern that fits none offers the nearest names."""
    weights = list(_weights(model))
    if not recipe.penalized:
        return [weight for weight in weights if getattr(weight.owner, weight.attribute).dim() >= 2]
    for pattern in recipe.penalized:
        if not any(fnmatch.fnmatchcase(weight.name, pattern) for weight in weights):
            raise unknown("parameter in penalized", pattern, [weight.name for weight in weights])
    return [w for w in weights if any(fnmatch.fnmatchcase(w.name, pattern) for pattern in recipe.penalized)]


def _weights(model: nn.Module) -> Iterator[Weight]:
    """Every trainable parameter, but for those of gates."""
    for path, owner in model.named_modules():
        if isinstance(owner, HardConcrete):
            continue
        gate = next((part for part in owner.children() if isinstance(part, HardConcrete)), None)
        for attribute, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad:
                full = f"{path}.{attribute}".removeprefix(".")
                name = full.replace("parametrizations.", "").removesuffix(".original") if gate else full
                yield Weight(name, full, owner, attribute, gate)
