"""Every activation by name is its formula, in value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baimu.errors import UnknownNameError
from baimu.layers.activations import ACTIVATIONS, activation


def phi(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


def negative(part: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The input where it is positive, ``part`` elsewhere."""
    return lambda x: torch.where(x > 0, x, part(torch.where(x > 0, 0.0, x)))


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
    "relu": negative(torch.zeros_like),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": negative(lambda x: 0.01 * x),
    "prelu": negative(lambda x: 0.25 * x),
    "rrelu": negative(lambda x: 11 / 48 * x),
    "elu": negative(lambda x: x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * negative(lambda x: 1.6732632423543772 * (x.exp() - 1))(x),
    "softplus": lambda x: (1 + x.exp()).log(),
    "silu": lambda x: x / (1 + (-x).exp()),
    "swish": lambda x: x / (1 + (-x).exp()),
    "hard_sigmoid": lambda x: (x + 3).clamp(0, 6) / 6,
    "hard_swish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "mish": lambda x: x * (1 + x.exp()).log().tanh(),
    "gelu": lambda x: x * phi(x),
    "gelu_tanh": lambda x: x / 2 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh()),
}
GOLDEN = {
    "sigmoid": [0.119203, 0.377541, 0.5, 0.622459, 0.880797],
    "tanh": [-0.964028, -0.462117, 0, 0.462117, 0.964028],
    "leaky_relu": [-0.02, -0.005, 0, 0.5, 2],
    "rrelu": [-0.458333, -0.114583, 0, 0.5, 2],
    "elu": [-0.864665, -0.393469, 0, 0.5, 2],
    "selu": [-1.520166, -0.691758, 0, 0.52535, 2.101402],
    "silu": [-0.238406, -0.18877, 0, 0.31123, 1.761594],
    "mish": [-0.252501, -0.220744, 0, 0.375245, 1.943959],
    "gelu": [-0.0455, -0.154269, 0, 0.345731, 1.9545],
    "gelu_tanh": [-0.045402, -0.154286, 0, 0.345714, 1.954598],
    "hard_swish": [-0.333333, -0.208333, 0, 0.291667, 1.666667],
}


def test_every_name_has_a_formula() -> None:
    assert FORMULAS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("inplace", [False, True])
def test_values_and_gradients_are_those_of_the_formula(name: str, inplace: bool) -> None:
    """Away from 0, ±3 and 6, where some have a kink; in place, after something that does not need its result."""
    x = torch.linspace(-7, 8, 47, dtype=torch.float64).requires_grad_()
    layer = activation(name, inplace=inplace)().double().eval()
    found, expected = layer(x * 1), FORMULAS[name](x)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
    weight = torch.randn(47, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad((found * weight).sum(), x)
    (wanted,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(slope, wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    found = activation(name)().eval()(torch.tensor([-2.0, -0.5, 0, 0.5, 2]))
    assert found.tolist() == pytest.approx(GOLDEN[name], abs=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_large_inputs_stay_finite_and_the_input_is_left_alone(name: str) -> None:
    x = torch.tensor([-1e4, 1e4], requires_grad=True)
    result = activation(name)().eval()(x)
    result.sum().backward()
    assert bool(torch.isfinite(result).all() & torch.isfinite(x.grad).all())
    assert x.tolist() == [-1e4, 1e4]


def test_a_slope_is_learned_and_another_is_drawn() -> None:
    prelu = activation("prelu")()
    prelu(torch.tensor([-2.0, 1.0])).sum().backward()
    assert prelu.weight.grad.tolist() == [-2.0]
    drawn = -activation("rrelu")().train()(torch.full((2000,), -1.0))
    assert 1 / 8 <= drawn.min() < 0.13 < 0.32 < drawn.max() <= 1 / 3
    assert abs(drawn.mean() - 11 / 48) < 0.01


def test_options_factories_and_unknown_names() -> None:
    assert activation("leaky_relu", negative_slope=0.1)()(torch.tensor(-1.0)).item() == pytest.approx(-0.1)
    assert activation(nn.Hardtanh) is nn.Hardtanh
    first, second = activation("prelu"), activation("prelu")
    assert first() is not second()
    with pytest.raises(UnknownNameError, match=r"unknown activation 'misch'. Did you mean mish"):
        activation("misch")
