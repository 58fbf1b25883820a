"""L0, L1 and L2 in the loss: the sums, on whom, how they relate to weight decay, and in a whole run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import baimu
from baimu.errors import TrainingError, UnknownNameError
from baimu.layers.gates import gates_of, without_gates
from baimu.recipes import Recipe
from baimu.training.loop import fit
from baimu.training.optimizers import build_optimizer, parameter_groups
from baimu.training.penalties import build_penalties, gate_weights, meant
from baimu.training.results_csv import read_results
from baimu.training.step import TrainStep
from baimu.training.train import build
from baimu.weights.checkpoint import load_parameters, part, read_checkpoint
from tests.training.small import QUICK, small_data, small_fcos
from tests.training.tiny import RECIPE, TinyDetector, assert_same, make_batch, run, start, weights_of


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 5))


def penalties(net: nn.Module, **fields: Any) -> dict[str, float]:
    recipe = Recipe(**fields)
    built = build_penalties(net, dict(net.named_parameters()), recipe)
    return {} if built is None else {key: value.item() for key, value in built().items()}


def test_sums_are_those_of_the_definition() -> None:
    net = small_net()
    weights = [*net[0].weight.flatten().tolist(), *net[3].weight.flatten().tolist()]
    found = penalties(net, l1=0.5, l2=0.1)
    assert found["l1"] == pytest.approx(0.5 * sum(map(abs, weights)), rel=1e-5)
    assert found["l2"] == pytest.approx(0.1 / 2 * sum(w * w for w in weights), rel=1e-5)
    assert penalties(net) == {}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), ["0.weight", "3.weight"]),
        (("3.*",), ["3.weight", "3.bias"]),
        (("*.bias", "0.weight"), ["0.weight", "0.bias", "1.bias", "3.bias"]),
    ],
)
def test_patterns_choose_parameters_by_name(patterns: tuple[str, ...], names: list[str]) -> None:
    net = small_net()
    recipe = Recipe(l1=1.0, penalized=patterns)
    assert [weight.name for weight in meant(net, recipe)] == names
    expected = sum(net.get_parameter(name).abs().sum().item() for name in names)
    assert penalties(net, l1=1.0, penalized=patterns)["l1"] == pytest.approx(expected, rel=1e-5)


def test_one_pattern_may_be_a_word_and_a_wrong_one_offers_the_nearest() -> None:
    assert Recipe().replace(penalized="head.*").penalized == ("head.*",)
    with pytest.raises(UnknownNameError, match=r"parameter in penalized '3.weigth'. Did you mean 3.weight"):
        meant(small_net(), Recipe(penalized=("3.weigth",)))


def test_frozen_parameters_and_those_of_other_phases_are_left_out() -> None:
    net = small_net()
    net[0].requires_grad_(False)
    assert [weight.name for weight in meant(net, Recipe())] == ["3.weight"]
    built = build_penalties(net, {"3.bias"}, Recipe(l1=1.0))
    assert built is not None
    assert built() == {}


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "rmsprop_tf"])
def test_l2_is_the_weight_decay_that_is_added_to_the_gradient_and_not_adamws(name: Any) -> None:
    def trained(**fields: Any) -> torch.Tensor:
        layer = nn.Linear(3, 2, bias=False)
        nn.init.constant_(layer.weight, 0.7)
        recipe = Recipe(**{"optimizer": name, "lr": 0.1, "lr_batch_size": None, "weight_decay": 0, **fields})
        optimizer = build_optimizer(layer, dict(layer.named_parameters()), recipe)
        terms = build_penalties(layer, ["weight"], recipe)
        for step in range(5):
            optimizer.zero_grad()
            loss = (layer(torch.tensor([1.0, -0.2, step])) ** 2).sum()
            (loss + sum((terms() if terms else {}).values())).backward()
            optimizer.step()
        return layer.weight.detach()

    torch.testing.assert_close(trained(l2=0.3), trained(weight_decay=0.3))
    assert not torch.allclose(trained(l2=0.3), trained(), atol=1e-3)
    if name == "adam":
        assert not torch.allclose(trained(l2=0.3), trained(optimizer="adamw", weight_decay=0.3), atol=1e-3)


def test_gates_get_the_expected_count_of_weights_and_weigh_the_other_penalties() -> None:
    net = small_net()
    recipe = Recipe(l0=0.01, l1=0.5, l2=0.1)
    gate_weights(net, recipe)
    gate_weights(net, recipe)  # once is enough
    conv, linear = gates_of(net)
    conv.log_alpha.data[:] = torch.linspace(-4, 4, 6)
    found = penalties(net, l0=0.01, l1=0.5, l2=0.1)
    open_filters, open_inputs = conv.open_probability(), linear.open_probability()
    assert found["l0"] == pytest.approx(0.01 * (18 * open_filters.sum() + 5 * open_inputs.sum()).item(), rel=1e-5)
    parts = net[0].parametrizations.weight.original, net[3].parametrizations.weight.original
    expected = [
        (of(parts[0]) * open_filters[:, None, None, None]).sum() + (of(parts[1]) * open_inputs[None]).sum()
        for of in (torch.abs, torch.square)
    ]
    assert found["l1"] == pytest.approx(0.5 * expected[0].item(), rel=1e-5)
    assert found["l2"] == pytest.approx(0.1 / 2 * expected[1].item(), rel=1e-5)
    assert [weight.name for weight in meant(net, recipe)] == ["0.weight", "3.weight"]  # names as without gates


def test_gates_learn_without_decay_and_stay_in_their_bounds() -> None:
    net = small_net()
    recipe = Recipe(l0=1.0, lr=50.0, lr_batch_size=None, weight_decay=0.5, momentum=0, penalized=("3.weight",))
    gate_weights(net, recipe)
    (gate,) = gates_of(net)
    groups = parameter_groups(net, dict(net.named_parameters()), recipe)
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays.pop(id(gate.log_alpha)) == 0
    assert set(decays.values()) == {0.5}
    optimizer = build_optimizer(net, dict(net.named_parameters()), recipe)
    terms = build_penalties(net, dict(net.named_parameters()), recipe)
    assert terms is not None
    for _ in range(3):
        optimizer.zero_grad()
        terms()["l0"].backward()
        optimizer.step()
    assert gate.log_alpha.tolist() == pytest.approx([-4.60517] * 6)


def test_l0_without_a_layer_to_gate_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"l0 puts gates on convolutions .* change penalized=1.weight"):
        gate_weights(small_net(), Recipe(l0=1.0, penalized=("1.weight",)))


def test_the_step_adds_the_penalties_to_the_models_losses() -> None:
    model = TinyDetector(dropout=0.0).eval()
    plain, batch = TrainStep(model), make_batch(range(4))
    terms = build_penalties(model, dict(model.named_parameters()), Recipe(l1=0.1))
    without = plain("losses", batch.inputs, batch.targets)
    found = TrainStep(model, penalties=terms)("losses", batch.inputs, batch.targets)
    assert set(found) - set(without) == {"l1"}
    assert all(torch.equal(found[key], without[key]) for key in without)


class Gated(TinyDetector):
    """As a run is rebuilt to be continued: with its gates, before the parameters are loaded."""

    def __init__(self) -> None:
        super().__init__()
        gate_weights(self, RECIPE.replace(**L0))


L0: dict[str, Any] = {"l0": 1e-3, "l0_drop": 0.2, "penalized": ("backbone.0.weight",), "ema_decay": 0.5}


def test_a_run_with_gates_writes_a_plain_network_and_continues_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, **L0)
    first = start(broken, **L0)
    first.recipe = first.recipe.replace(epochs=1)  # stops there, on the schedule of the whole length
    fit(first)
    run(broken, model=Gated, resume=True, **L0)
    assert_same(weights_of(whole), weights_of(broken))
    assert "model.backbone.0.parametrizations.weight.original" in weights_of(whole)

    plain = TinyDetector()
    load_parameters(plain, part(weights_of(whole, "best.safetensors"), "model"), whole)
    gated = Gated()
    load_parameters(gated, part(weights_of(whole), "average"), whole)
    batch = make_batch(range(4))
    compute = partial(TrainStep(plain.eval()), "losses", batch.inputs, batch.targets)
    assert compute() == TrainStep(without_gates(gated).eval())("losses", batch.inputs, batch.targets)


def test_a_strong_l0_closes_gates_in_a_run_and_a_strong_l1_shrinks_weights(tmp_path: Path) -> None:
    fields = {"epochs": 4, "lr": 0.05, "ema_decay": 0, "weight_decay": 0, "penalized": ("backbone.0.weight",)}
    closed = run(tmp_path / "l0", **fields, l0=0.1)
    weight = closed.judged().backbone[0].weight
    assert torch.count_nonzero(weight.flatten(1).abs().sum(1)) < 4
    fields["lr"] = 0.005  # L1's gradient does not shrink with the weight: at a high rate it overshoots zero
    sizes = [run(tmp_path / str(l1), **fields, l1=l1).model.backbone[0].weight.abs().sum() for l1 in (0.0, 0.1)]
    assert sizes[1] < 0.6 * sizes[0]


def test_train_rebuilds_gated_runs_and_leaves_the_given_model_as_it_was_made(tmp_path: Path) -> None:
    model, data = small_fcos(3), small_data(4, 2)
    names = list(model.state_dict())
    settings: dict[str, Any] = {**QUICK, "epochs": 1, "l0": 1e-5, "penalized": "backbone.*"}
    done = baimu.train(model, data, out=tmp_path / "run", **settings)
    assert sorted(model.state_dict()) == sorted(names)
    assert sorted(baimu.load(done.folder, model=small_fcos(3)).state_dict()) == sorted(names)
    assert [row["l0"] > 0 for row in read_results(done.folder / "results.csv")] == [True]

    last = done.folder / "last.safetensors"
    network, said = build(small_fcos(3), data, None, {}, read_checkpoint(last), last)
    assert said.startswith("continues after epoch 1")
    assert len(list(gates_of(network))) == 3
    assert_same(part(read_checkpoint(last)[0], "model"), network.state_dict())
