"""Hard concrete gates: the equations, what the draws amount to, and that closed ones are gone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.layers.gates import HardConcrete, add_gates, gates_of, remove_gates, without_gates


def gate(*log_alpha: float) -> HardConcrete:
    made = HardConcrete(torch.ones(len(log_alpha), 1), 0)
    made.log_alpha.data = torch.tensor(log_alpha, dtype=torch.float32)
    return made


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 5))


def test_golden_values() -> None:
    gates = gate(-2, 0, 2).eval()
    assert gates.open_probability().tolist() == pytest.approx([0.400975, 0.831822, 0.973367], abs=1e-6)
    assert gates.gates().tolist() == pytest.approx([0.043044, 0.5, 0.956956], abs=1e-6)


def test_the_draws_are_zero_as_often_as_the_penalty_says_and_exactly_one_as_well() -> None:
    torch.manual_seed(0)
    for log_alpha in (-2.0, 0.0, 2.0):
        gates = HardConcrete(torch.ones(100_000, 1), 0)
        gates.log_alpha.data.fill_(log_alpha)
        drawn = gates.gates()
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        assert (drawn != 0).float().mean().item() == pytest.approx(gates.open_probability()[0].item(), abs=0.01)
        ones = 1 - gate(-log_alpha).open_probability().item()  # by symmetry: the gate of −log alpha is zero
        assert (drawn == 1).float().mean().item() == pytest.approx(ones, abs=0.01)


def test_the_gradient_reaches_the_gates_through_the_draw_and_through_the_penalty() -> None:
    torch.manual_seed(0)
    gates = gate(*[0.0] * 200)
    (slope,) = torch.autograd.grad(gates(torch.ones(200, 1)).sum(), gates.log_alpha)
    assert slope.min() >= 0
    assert slope.sum() > 1
    (slope,) = torch.autograd.grad(gates.open_probability().sum(), gates.log_alpha)
    p = gates.open_probability()
    torch.testing.assert_close(slope, p * (1 - p))


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.8])
def test_gates_start_open_as_asked(drop: float) -> None:
    torch.manual_seed(0)
    gates = HardConcrete(torch.ones(500, 1), 0, drop=drop).eval()
    assert gates.gates().mean().item() == pytest.approx(max(0, min(1, (1 - drop) * 1.2 - 0.1)), abs=0.01)


def test_a_convolution_has_a_gate_a_filter_and_a_linear_layer_one_an_input() -> None:
    net = small_net()
    assert add_gates(net, {"0.weight", "3.weight"}) == ["0.weight", "3.weight"]
    assert [(len(g.log_alpha), g.group) for g in gates_of(net)] == [(6, 18), (24, 5)]
    assert add_gates(net, {"0.weight"}) == ["0.weight", "3.weight"]  # those that it had it keeps
    assert len(list(gates_of(net))) == 2


def test_only_what_is_named_and_learns_is_gated() -> None:
    net = small_net()
    net[0].requires_grad_(False)
    assert add_gates(net, {"0.weight", "3.bias"}) == []
    assert add_gates(net, {"3.weight"}) == ["3.weight"]


def test_a_closed_gate_makes_exact_zeros_in_evaluation_and_a_plain_network_computes_the_same() -> None:
    net = small_net()
    plain = [net[0].weight.detach().clone(), net[3].weight.detach().clone()]
    add_gates(net, {"0.weight", "3.weight"})
    conv, linear = gates_of(net)
    conv.log_alpha.data[:] = torch.tensor([-4.0, 4, 4, -3, 0, 4])
    linear.log_alpha.data[:12] = -4.0
    images = torch.randn(3, 2, 4, 4)
    expected = net.eval()(images)
    bare = without_gates(net)
    assert torch.equal(bare(images), expected)
    assert bare.state_dict().keys() == small_net().state_dict().keys()
    assert type(bare[0]) is nn.Conv2d
    assert torch.count_nonzero(bare[0].weight.flatten(1).abs().sum(1)).item() == 4
    assert torch.count_nonzero(bare[3].weight[:, :12]).item() == 0
    assert torch.equal(bare[0].weight[[1, 2, 5]], plain[0][[1, 2, 5]])  # wide open: exactly what they were
    assert torch.equal(net(images), expected)  # the gated one is as it was
    assert len(list(gates_of(net))) == 2


def test_removal_in_training_mode_takes_the_fixed_gates_not_a_draw() -> None:
    net = small_net()
    add_gates(net, {"0.weight"})
    expected = net.eval()[0].weight.detach().clone()
    assert torch.equal(remove_gates(net.train())[0].weight, expected)
    assert net.training
    assert isinstance(net[0].weight, nn.Parameter)
    assert without_gates(net) is net


def test_bounds() -> None:
    gates = gate(-9, 0, 9)
    gates.keep_in_bounds()
    assert gates.log_alpha.tolist() == pytest.approx([-4.60517, 0, 4.60517])
