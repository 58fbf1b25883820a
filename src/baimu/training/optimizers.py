"""Optimisers and schedules from a recipe: parameter groups by the layer rules, rates by linear scaling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from baimu.layers.gates import gates_of
from baimu.recipes import OptimizerName, Recipe
from baimu.training.rmsprop_tf import RMSPropTF

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.modules.instancenorm._InstanceNorm,
)


_CLASSES: dict[OptimizerName, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "nesterov": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "rmsprop_tf": RMSPropTF,
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
}
_FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)


def build_optimizer(model: nn.Module, parameters: Mapping[str, nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over ``parameters`` (by their names in ``model``) at its scaled peak rate.

    One fused kernel a step where torch has it, but for fp16: there a fused step hides from Accelerate that the scaler
    skipped it. The gates among the parameters are kept in their bounds after each step.
    """
    kind = _CLASSES[recipe.optimizer]
    options = _options(recipe)
    if kind in _FUSED:
        options["fused"] = recipe.precision != "fp16"
    optimizer = kind(parameter_groups(model, parameters, recipe), scaled_lr(recipe), **options)

    def keep_gates_in_bounds(*_: Any) -> None:
        for gate in gates_of(model):
            gate.keep_in_bounds()

    if any(gates_of(model)):
        optimizer.register_step_post_hook(keep_gates_in_bounds)
    return optimizer


def _options(recipe: Recipe) -> dict[str, Any]:
    """The recipe's numbers under the names that the optimiser's class gives them."""
    _, momentum, square_momentum, eps = recipe.optimizer_numbers
    match recipe.optimizer:
        case "sgd" | "nesterov":
            return {"momentum": momentum, "nesterov": recipe.optimizer == "nesterov"}
        case "adagrad":
            return {"eps": eps}
        case "adadelta":
            return {"rho": square_momentum, "eps": eps}
        case "rmsprop" | "rmsprop_tf":
            return {"alpha": square_momentum, "momentum": momentum, "eps": eps}
        case _:
            return {"betas": (momentum, square_momentum), "eps": eps}


def scaled_lr(recipe: Recipe) -> float:
    """``lr * batch_size / lr_batch_size`` (linear scaling, 1706.02677 §2.1), or ``lr`` as it stands."""
    return recipe.lr * recipe.batch_size / recipe.lr_batch_size if recipe.lr_batch_size else recipe.lr


def parameter_groups(model: nn.Module, parameters: Mapping[str, nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of equal rate and decay, plain weights first; each parameter is in exactly one, in the model's order.

    Rules: parameters of normalisation layers decay if ``norm_decay``; biases of other layers decay if ``bias_decay``
    and learn at ``bias_lr_factor``; what lies in ``model.backbone`` learns at ``backbone_lr_factor`` besides. Gates
    never decay: their penalty is a loss.
    """
    gates = {id(gate.log_alpha) for gate in gates_of(model)}
    norms = {
        id(p) for module in model.modules() if isinstance(module, _NORMS) for p in module.parameters(recurse=False)
    }
    members: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): []}
    for name, parameter in parameters.items():
        factor, decays = 1.0, True
        if id(parameter) in gates:
            decays = False
        elif id(parameter) in norms:
            decays = recipe.norm_decay
        elif name.endswith("bias"):
            factor, decays = recipe.bias_lr_factor, recipe.bias_decay
        if name.startswith("backbone."):
            factor *= recipe.backbone_lr_factor
        members.setdefault((factor, decays), []).append(parameter)
    rate = scaled_lr(recipe)
    return [
        {"params": group, "lr": rate * factor, "weight_decay": recipe.weight_decay if decays else 0.0}
        for (factor, decays), group in members.items()
        if group
    ]


def build_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The recipe's schedule over ``total_steps`` optimiser steps."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor(recipe, total_steps))


def lr_factor(recipe: Recipe, total_steps: int) -> Callable[[int], float]:
    """Share of the peak rate at step 0…total_steps − 1: warm-up first, and over the whole length the main schedule.

    ``step``: times ``drop`` at each milestone, a share of the whole length. ``cosine``: from the end of the warm-up, or
    of ``hold``, ``(1 + cos πt) / 2``, 0 at the end (1608.03983 Eq. 5). ``linear``: from there ``1 - t``;
    ``poly``: ``(1 - t) ** power``, from 1 to ``lr_floor``; ``exponential``: ``lr_floor ** t``. ``constant``: 1.
    """
    warmup_steps = min(recipe.warmup_steps, total_steps // 10)
    start = max(warmup_steps, round(recipe.hold * total_steps))
    drops = [round(milestone * total_steps) for milestone in recipe.milestones]

    def main(step: int) -> float:
        if recipe.schedule == "step":
            return recipe.drop ** sum(step >= drop for drop in drops)
        share = min(1.0, max(0.0, (step - start) / max(1, total_steps - start)))
        if recipe.schedule == "cosine":
            return (1 + math.cos(math.pi * share)) / 2
        if recipe.schedule == "poly":
            return recipe.lr_floor + (1 - recipe.lr_floor) * (1 - share) ** recipe.poly_power
        if recipe.schedule == "exponential":
            return recipe.lr_floor**share
        return 1 - share if recipe.schedule == "linear" else 1.0

    def factor(step: int) -> float:
        if step >= warmup_steps:
            return main(step)
        rise = step / warmup_steps if recipe.warmup == "linear" else 0.0
        return main(step) * (recipe.warmup_start + (1 - recipe.warmup_start) * rise)

    return factor
