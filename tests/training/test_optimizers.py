"""Each optimiser is its paper's update, parameter groups follow the layer rules, schedules have their shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from timm.optim import RMSpropTF as PeerRMSPropTF
from torch import nn

from baimu.errors import BaimuError
from baimu.recipes import OPTIMIZERS, OptimizerName, Recipe, coco_1x
from baimu.training.loop import optimise
from baimu.training.optimizers import build_optimizer, lr_factor, parameter_groups, scaled_lr
from baimu.training.rmsprop_tf import RMSPropTF
from baimu.training.saver import capture, restore
from baimu.weights.checkpoint import part
from tests.training.tiny import assert_same, start


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


Rule = Iterator[np.ndarray]  # takes gradients by send, gives what is taken off the weights


def sgd(lr: float, mu: float, nesterov: bool) -> Rule:
    """Heavy ball (Polyak 1964) in the form with the rate outside; Nesterov looks one step ahead (Sutskever 2013)."""
    g = yield np.zeros(1)
    v = np.zeros_like(g)
    while True:
        v = mu * v + g
        g = yield lr * (g + mu * v) if nesterov else lr * v


def adagrad(lr: float, eps: float) -> Rule:
    """Duchi, Hazan, Singer 2011: divided by the root of the sum of all squares."""
    g = yield np.zeros(1)
    s = np.zeros_like(g)
    while True:
        s = s + g**2
        g = yield lr * g / (np.sqrt(s) + eps)


def adadelta(lr: float, rho: float, eps: float) -> Rule:
    """1212.5701, Algorithm 1: steps in the unit of the weights, by the root mean squares of steps over gradients."""
    g = yield np.zeros(1)
    gradients, steps = np.zeros_like(g), np.zeros_like(g)
    while True:
        gradients = rho * gradients + (1 - rho) * g**2
        step = np.sqrt(steps + eps) / np.sqrt(gradients + eps) * g
        steps = rho * steps + (1 - rho) * step**2
        g = yield lr * step


def rmsprop(lr: float, alpha: float, mu: float, eps: float, *, tf: bool) -> Rule:
    """Hinton's lecture 6e; TensorFlow's form has another start, eps in the root, and the rate in the momentum."""
    g = yield np.zeros(1)
    s, v = np.full_like(g, float(tf)), np.zeros_like(g)
    while True:
        s = alpha * s + (1 - alpha) * g**2
        v = mu * v + (lr * g / np.sqrt(s + eps) if tf else g / (np.sqrt(s) + eps))
        g = yield v if tf else lr * v


def adam(lr: float, b1: float, b2: float, eps: float) -> Rule:
    """1412.6980, Algorithm 1."""
    g = yield np.zeros(1)
    m, v, t = np.zeros_like(g), np.zeros_like(g), 0
    while True:
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        g = yield lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def adamax(lr: float, b1: float, b2: float, eps: float) -> Rule:
    """1412.6980, Algorithm 2: the largest decayed gradient in the place of the mean square."""
    g = yield np.zeros(1)
    m, u, t = np.zeros_like(g), np.zeros_like(g), 0
    while True:
        t, m, u = t + 1, b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g) + eps)
        g = yield lr / (1 - b1**t) * m / u


def nadam(lr: float, b1: float, b2: float, eps: float) -> Rule:
    """Dozat 2016, Algorithm 2, with its momentum schedule 0.5 · 0.96^(0.004 t)."""
    g = yield np.zeros(1)
    m, v, t, product = np.zeros_like(g), np.zeros_like(g), 0, 1.0
    while True:
        t += 1
        now, after = (b1 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in (t, t + 1))
        product *= now
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        ahead = (1 - now) * g / (1 - product) + after * m / (1 - product * after)
        g = yield lr * ahead / (np.sqrt(v / (1 - b2**t)) + eps)


def radam(lr: float, b1: float, b2: float, eps: float) -> Rule:
    """1908.03265, Algorithm 2: plain momentum until the variance of the second moment can be told (rho > 5)."""
    g = yield np.zeros(1)
    m, v, t, longest = np.zeros_like(g), np.zeros_like(g), 0, 2 / (1 - b2) - 1
    while True:
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        length = longest - 2 * t * b2**t / (1 - b2**t)
        step = m / (1 - b1**t)
        if length > 5:
            top, bottom = (length - 4) * (length - 2) * longest, (longest - 4) * (longest - 2) * length
            step = step * np.sqrt(top / bottom) * np.sqrt(1 - b2**t) / (np.sqrt(v) + eps)
        g = yield lr * step


def rule_of(recipe: Recipe) -> Rule:
    lr, momentum, square, eps = recipe.optimizer_numbers
    makers: dict[OptimizerName, Callable[[], Rule]] = {
        "sgd": lambda: sgd(lr, momentum, nesterov=False),
        "nesterov": lambda: sgd(lr, momentum, nesterov=True),
        "adagrad": lambda: adagrad(lr, eps),
        "adadelta": lambda: adadelta(lr, square, eps),
        "rmsprop": lambda: rmsprop(lr, square, momentum, eps, tf=False),
        "rmsprop_tf": lambda: rmsprop(lr, square, momentum, eps, tf=True),
        "adam": lambda: adam(lr, momentum, square, eps),
        "adamw": lambda: adam(lr, momentum, square, eps),
        "nadam": lambda: nadam(lr, momentum, square, eps),
        "radam": lambda: radam(lr, momentum, square, eps),
        "adamax": lambda: adamax(lr, momentum, square, eps),
    }
    return makers[recipe.optimizer]()


def by_hand(recipe: Recipe, gradients: Callable[[np.ndarray, int], np.ndarray], start: np.ndarray, steps: int):
    """Weights after each step. Decay is added to the gradient; adamw's shrinks the weight by itself."""
    rule, w, path = rule_of(recipe), start, []
    next(rule)
    for t in range(steps):
        g, decay = gradients(w, t), recipe.weight_decay
        if recipe.optimizer == "adamw":
            w = w * (1 - recipe.lr * decay)
        else:
            g = g + decay * w
        w = w - rule.send(g)
        path.append(w)
    return np.stack(path)


def by_torch(recipe: Recipe, gradients: Callable[[np.ndarray, int], np.ndarray], start: np.ndarray, steps: int):
    layer, path = nn.Linear(len(start), 1, bias=False), []
    layer.weight.data[0] = torch.from_numpy(start)
    optimizer = build_optimizer(layer, dict(layer.named_parameters()), recipe)
    for t in range(steps):
        layer.weight.grad = torch.from_numpy(gradients(layer.weight.detach()[0].numpy(), t))[None]
        optimizer.step()
        path.append(layer.weight.detach()[0].numpy().copy())
    return np.stack(path)


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Also what an optimiser counts for itself: NAdam's product of momenta has the default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_every_optimiser_of_the_recipe_is_known() -> None:
    assert set(get_args(OptimizerName)) == set(OPTIMIZERS)


USUAL: list[dict[str, Any]] = [{"optimizer": name} for name in OPTIMIZERS]
UNUSUAL: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0},
    {"optimizer": "nesterov", "momentum": 0.5},
    {"optimizer": "adagrad", "optimizer_eps": 0.1},
    {"optimizer": "adadelta", "square_momentum": 0.9, "optimizer_eps": 1e-3},
    {"optimizer": "rmsprop", "momentum": 0.9, "square_momentum": 0.99, "optimizer_eps": 0.1},
    {"optimizer": "rmsprop_tf", "momentum": 0.9, "optimizer_eps": 1e-3},  # EfficientNet's, 1905.11946 §5.2
    {"optimizer": "adam", "momentum": 0.5, "square_momentum": 0.9, "optimizer_eps": 0.1},
    {"optimizer": "nadam", "momentum": 0.8, "square_momentum": 0.9},
    {"optimizer": "radam", "momentum": 0.5, "square_momentum": 0.9},
    {"optimizer": "adamax", "momentum": 0, "square_momentum": 0.5},
    {"optimizer": "adamw", "momentum": 0.5, "square_momentum": 0.95},
]


@pytest.mark.parametrize("fields", [*USUAL, *UNUSUAL], ids=lambda fields: "-".join(map(str, fields.values())))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_each_optimiser_is_its_papers_update(fields: dict[str, Any], decay: float, in_float64: None) -> None:
    """Twelve steps on a bowl whose centre moves, so that gradients change sign and size."""
    random = np.random.default_rng(0)
    curvature, centres, begin = random.uniform(0.2, 3, 5), random.normal(size=(12, 5)), random.normal(size=5)
    recipe = Recipe(lr=0.03, lr_batch_size=None, weight_decay=decay, **fields)

    def gradients(w: np.ndarray, t: int) -> np.ndarray:
        return curvature * (w - centres[t])

    expected = by_hand(recipe, gradients, begin, 12)
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-4
    np.testing.assert_allclose(by_torch(recipe, gradients, begin, 12), expected, rtol=1e-9, atol=1e-12)


GOLDEN: list[tuple[dict[str, Any], list[float]]] = [
    ({"optimizer": "sgd", "momentum": 0, "lr": 0.1}, [0.9, 0.81, 0.729]),
    ({"optimizer": "sgd", "lr": 0.1}, [0.9, 0.72, 0.486]),
    ({"optimizer": "nesterov", "lr": 0.1}, [0.81, 0.5751, 0.327321]),
    ({"optimizer": "adagrad", "lr": 0.1}, [0.9, 0.83310353, 0.78045618]),
    ({"optimizer": "adadelta", "lr": 1, "square_momentum": 0.9}, [0.99683774, 0.9935982, 0.99030908]),
    ({"optimizer": "rmsprop", "lr": 0.01, "square_momentum": 0.99}, [0.90000001, 0.83291798, 0.77998228]),
    ({"optimizer": "adam", "lr": 0.1}, [0.9, 0.80041223, 0.70158627]),
    ({"optimizer": "adamw", "lr": 0.1, "weight_decay": 0.01}, [0.899, 0.79851903, 0.69891118]),
]


@pytest.mark.parametrize(("fields", "expected"), GOLDEN, ids=lambda value: str(value)[:40])
def test_golden_steps_down_half_a_square(fields: dict[str, Any], expected: list[float], in_float64: None) -> None:
    recipe = Recipe(**{"lr_batch_size": None, "weight_decay": 0, **fields})
    found = by_torch(recipe, lambda w, _: w.copy(), np.ones(1), 3)[:, 0]
    assert found.tolist() == pytest.approx(expected, abs=5e-9)


def test_rmsprop_of_tensorflow_equals_timms_with_a_rate_that_changes() -> None:
    torch.manual_seed(0)
    start, fields = torch.randn(4, 3), {"lr": 0.02, "alpha": 0.9, "momentum": 0.9, "eps": 1e-3, "weight_decay": 0.1}
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = [RMSPropTF([ours], **fields), PeerRMSPropTF([theirs], **fields)]
    for step in range(10):
        gradient = torch.randn(4, 3)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.param_groups[0]["lr"] = 0.02 * 0.8**step
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_without_gradient_stays_and_has_no_step_to_share(name: OptimizerName) -> None:
    layers = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)])
    optimizer = build_optimizer(layers, dict(layers.named_parameters()), Recipe(optimizer=name))
    before = [layer.weight.detach().clone() for layer in layers]
    layers[0].weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert [torch.equal(layer.weight, old) for layer, old in zip(layers, before, strict=True)] == [False, True]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_layer_rules_hold_for_every_optimiser(name: OptimizerName) -> None:
    net = Net()
    recipe = Recipe(optimizer=name, lr=0.1, lr_batch_size=None, weight_decay=0.5, norm_decay=False, bias_lr_factor=2)
    optimizer = build_optimizer(net, dict(net.named_parameters()), recipe)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [
        (0.1, 0.5), (0.2, 0.5), (0.1, 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_checkpoint_holds_all_of_an_optimisers_state(name: OptimizerName, tmp_path: Path) -> None:
    """State that was lost, or laid out otherwise, would show in the last bit of the steps that follow."""
    changes: dict[str, Any] = {"optimizer": name, "lr": 0.01, "ema_decay": 0}
    if OPTIMIZERS[name].momentum == 0:
        changes["momentum"] = 0.9
    whole = start(tmp_path / "whole", **changes)
    batches = list(whole.task.steps(0, 0))
    for parts in batches[:3]:
        optimise(whole, parts)
    tensors, document = capture(whole)
    tensors = {key: value.clone() for key, value in tensors.items()}
    for parts in batches[3:]:
        optimise(whole, parts)

    continued = start(tmp_path / "continued", **changes)
    continued.model.load_state_dict(part(tensors, "model"))
    restore(continued, tensors, document, tmp_path)
    for parts in batches[3:]:
        optimise(continued, parts)
    assert_same(capture(whole)[0], capture(continued)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "adagrad", "lr": 0.01, "momentum": 0.9}, r"adagrad has no momentum; .* set momentum=null"),
        ({"optimizer": "adadelta", "lr": 1, "momentum": 0}, r"adadelta has no momentum"),
        ({"square_momentum": 0.9}, r"sgd has no square_momentum"),
        ({"optimizer_eps": 1e-8}, r"sgd has no optimizer_eps"),
        ({"optimizer": "nesterov", "momentum": 0}, r"nesterov looks ahead along its momentum"),
        ({"optimizer": "adam"}, r"lr=0.02 was chosen for sgd; give adam its own lr \(usual: 0.001"),
        ({"optimizer": "adm", "lr": 1}, r"unknown optimizer 'adm'\. Did you mean adam"),
    ],
)
def test_combinations_without_a_meaning_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BaimuError, match=message):
        coco_1x.replace(**fields)


def test_an_optimiser_of_like_rates_keeps_the_rate() -> None:
    assert coco_1x.replace(optimizer="nesterov").lr == coco_1x.lr
    adam = coco_1x.replace(optimizer="adam", lr=1e-3)
    assert adam.replace(optimizer="adamw").replace(optimizer="nadam").lr == 1e-3


def test_the_1x_schedule_drops_after_epochs_8_and_11() -> None:
    factor = lr_factor(Recipe(warmup_steps=0), 12 * 100)
    assert [factor(step) for step in (0, 799, 1099)] == pytest.approx([1.0, 1.0, 0.1])
    assert [factor(step) for step in (800, 1100, 1199)] == pytest.approx([0.1, 0.01, 0.01])


def test_cosine_goes_from_the_end_of_the_warm_up_to_nothing() -> None:
    factor = lr_factor(Recipe(schedule="cosine", warmup_steps=10, warmup_start=0.5), 110)
    assert [factor(step) for step in (0, 5, 10, 60, 110)] == pytest.approx([0.5, 0.75, 1.0, 0.5, 0.0])
    assert all(factor(step) >= factor(step + 1) for step in range(10, 109))


def test_linear_goes_from_the_end_of_the_warm_up_to_nothing() -> None:
    factor = lr_factor(Recipe(schedule="linear", warmup_steps=10, warmup_start=0.5), 110)
    assert [factor(step) for step in (0, 5, 10, 35, 60, 110)] == pytest.approx([0.5, 0.75, 1.0, 0.75, 0.5, 0.0])


def test_constant_and_both_warm_ups() -> None:
    linear = lr_factor(Recipe(schedule="constant", warmup_steps=4, warmup_start=0.2), 100)
    assert [linear(step) for step in (0, 1, 2, 3, 4, 99)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    constant = lr_factor(Recipe(schedule="constant", warmup_steps=4, warmup_start=0.2, warmup="constant"), 100)
    assert [constant(step) for step in (0, 3, 4)] == [0.2, 0.2, 1.0]


def test_a_short_run_warms_up_for_a_tenth_of_it() -> None:
    factor = lr_factor(Recipe(schedule="constant", warmup_steps=500, warmup_start=0.0), 100)
    assert [factor(step) for step in (0, 5, 10)] == pytest.approx([0.0, 0.5, 1.0])
    assert lr_factor(Recipe(schedule="constant", warmup_steps=500), 3)(0) == 1.0


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)])
def test_the_rate_may_be_held_before_it_falls(schedule: str, middle: float) -> None:
    """As CycleGAN's: 100 epochs at the full rate, 100 in which it falls to nothing."""
    factor = lr_factor(Recipe(schedule=schedule, hold=0.5, warmup_steps=0), 200)  # pyright: ignore[reportArgumentType]
    assert [factor(step) for step in (0, 50, 99, 100)] == [1.0] * 4
    assert factor(150) == pytest.approx(middle)
    assert factor(199) == pytest.approx(1.0 if schedule == "constant" else 0.01, abs=0.01)
    late = lr_factor(Recipe(schedule="linear", hold=0.02, warmup_steps=10), 100)
    assert late(10) == 1.0  # the warm-up comes first
