"""Parameter groups by the layer rules, linear scaling, and the shape of each schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from baimu.recipes import Recipe
from baimu.training.optimizers import build_optimizer, lr_factor, parameter_groups, scaled_lr


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Linear(4, 2), nn.GroupNorm(1, 2))
        self.scale = nn.Parameter(torch.ones(()))


def rules(recipe: Recipe) -> dict[str, tuple[float, float]]:
    """(rate, decay) of every parameter by name."""
    net = Net()
    names = {id(p): name for name, p in net.named_parameters()}
    found = [
        (names[id(p)], (group["lr"], group["weight_decay"]))
        for group in parameter_groups(net, dict(net.named_parameters()), recipe)
        for p in group["params"]
    ]
    assert len(found) == len(names) == len(dict(found))  # each exactly once
    return dict(found)


def test_layer_rules() -> None:
    recipe = Recipe(
        lr=1.0, lr_batch_size=None, weight_decay=0.5, norm_decay=False, bias_lr_factor=2.0, bias_decay=False,
        backbone_lr_factor=0.1,
    )  # fmt: skip
    assert rules(recipe) == {
        "backbone.0.weight": (0.1, 0.5),
        "backbone.0.bias": (0.2, 0.0),
        "backbone.1.weight": (0.1, 0.0),
        "backbone.1.bias": (0.1, 0.0),  # of a norm: no bias rule
        "head.0.weight": (1.0, 0.5),
        "head.0.bias": (2.0, 0.0),
        "head.1.weight": (1.0, 0.0),
        "head.1.bias": (1.0, 0.0),
        "scale": (1.0, 0.5),
    }


def test_without_rules_there_is_one_group() -> None:
    assert set(rules(Recipe(lr=0.02, batch_size=8, weight_decay=0.1)).values()) == {(0.01, 0.1)}


def test_frozen_and_foreign_parameters_are_left_out() -> None:
    net = Net()
    own = {name: p for name, p in net.named_parameters() if name.startswith("head")}
    groups = parameter_groups(net, own, Recipe())
    assert sum(len(group["params"]) for group in groups) == 4


@pytest.mark.parametrize(
    ("batch_size", "base", "expected"), [(16, 16, 0.02), (4, 16, 0.005), (64, 16, 0.08), (4, None, 0.02)]
)
def test_linear_scaling(batch_size: int, base: int | None, expected: float) -> None:
    assert math.isclose(scaled_lr(Recipe(lr=0.02, batch_size=batch_size, lr_batch_size=base)), expected)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.8}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.999)}),
    ],
)
def test_optimisers(name: str, kind: type, expected: dict[str, Any]) -> None:
    net = Net()
    optimizer = build_optimizer(net, dict(net.named_parameters()), Recipe(optimizer=name, momentum=0.8))
    assert type(optimizer) is kind
    assert {key: optimizer.param_groups[0][key] for key in expected} == expected


def test_the_1x_schedule_drops_after_epochs_8_and_11() -> None:
    factor = lr_factor(Recipe(warmup_steps=0), 12 * 100)
    assert [factor(step) for step in (0, 799, 1099)] == pytest.approx([1.0, 1.0, 0.1])
    assert [factor(step) for step in (800, 1100, 1199)] == pytest.approx([0.1, 0.01, 0.01])


def test_cosine_goes_from_the_end_of_the_warm_up_to_nothing() -> None:
    factor = lr_factor(Recipe(schedule="cosine", warmup_steps=10, warmup_start=0.5), 110)
    assert [factor(step) for step in (0, 5, 10, 60, 110)] == pytest.approx([0.5, 0.75, 1.0, 0.5, 0.0])
    assert all(factor(step) >= factor(step + 1) for step in range(10, 109))


def test_constant_and_both_warm_ups() -> None:
    linear = lr_factor(Recipe(schedule="constant", warmup_steps=4, warmup_start=0.2), 100)
    assert [linear(step) for step in (0, 1, 2, 3, 4, 99)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    constant = lr_factor(Recipe(schedule="constant", warmup_steps=4, warmup_start=0.2, warmup="constant"), 100)
    assert [constant(step) for step in (0, 3, 4)] == [0.2, 0.2, 1.0]


def test_a_short_run_warms_up_for_a_tenth_of_it() -> None:
    factor = lr_factor(Recipe(schedule="constant", warmup_steps=500, warmup_start=0.0), 100)
    assert [factor(step) for step in (0, 5, 10)] == pytest.approx([0.0, 0.5, 1.0])
    assert lr_factor(Recipe(schedule="constant", warmup_steps=500), 3)(0) == 1.0
