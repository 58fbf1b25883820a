"""Fused linear layers, packed weights and Winograd's convolution compute what torch's own operators do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from baimu.layers.attention import Attention, FeedForward
from baimu.layers.fold import fold_norms, optimize
from baimu.layers.fused import FusedConv2d, FusedLinear, finish
from baimu.layers.winograd import LEAST_TILES, WinogradConv2d, suits, transformed, winograd
from tests.layers.test_fold import ACTIVATIONS
from tests.layers.test_norm import noise

KERNELS = ("onednn", "mkl")


def linear_of(inputs: int = 24, outputs: int = 40, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias).requires_grad_(False)


def conv_of(inputs: int = 128, outputs: int = 128, **options) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options).requires_grad_(False)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (7, 24), (2, 5, 24), (2, 3, 4, 24), (0, 24), (2, 0, 24)])
@torch.no_grad()
def test_a_fused_linear_is_linear_for_any_shape(kernel, bias: bool, shape: tuple[int, ...]) -> None:
    linear, x = linear_of(bias=bias), noise(*shape)
    found = FusedLinear(linear, kernel=kernel)(x)
    assert found.shape == (*shape[:-1], 40)
    torch.testing.assert_close(found, linear(x))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("act", [None, *ACTIVATIONS], ids=repr)
@torch.no_grad()
def test_a_fused_linear_ends_with_any_activation(kernel, act: nn.Module | None, add: bool) -> None:
    linear, x, other = linear_of(), noise(2, 9, 24) * 3, noise(2, 9, 40, seed=2)
    kept = other.clone()
    expected = linear(x) + other if add else linear(x)
    found = FusedLinear(linear, kernel=kernel).fused(x, other if add else None, act=act)
    torch.testing.assert_close(found, expected if act is None else act(expected))
    assert torch.equal(other, kept), "the summand is not written to"


@pytest.mark.parametrize("kernel", KERNELS)
@torch.no_grad()
def test_rows_that_do_not_lie_together(kernel) -> None:
    linear = linear_of()
    layer = FusedLinear(linear, kernel=kernel)
    for x in (noise(24, 9).t(), noise(2, 24, 9).transpose(1, 2), noise(9, 48)[:, ::2], noise(1, 24).expand(9, 24)):
        torch.testing.assert_close(layer(x), linear(x))
    torch.testing.assert_close(layer.fused(noise(2, 9, 24), noise(40)), linear(noise(2, 9, 24)) + noise(40))


@pytest.mark.parametrize("kernel", KERNELS)
@torch.no_grad()
def test_another_number_of_rows_and_another_weight_are_laid_out_anew(kernel) -> None:
    linear = linear_of()
    layer = FusedLinear(linear, kernel=kernel)
    for rows in (9, 5, 9):
        torch.testing.assert_close(layer(noise(rows, 24)), linear(noise(rows, 24)))
    layer.weight.mul_(2)
    torch.testing.assert_close(layer(noise(9, 24)), linear(noise(9, 24)))
    copied = copy.deepcopy(layer)
    assert not copied._packed
    torch.testing.assert_close(
        copied.double()(noise(9, 24).double()), linear(noise(9, 24)).double(), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    "layer", [FusedLinear(nn.Linear(4, 8)), FusedConv2d(nn.Conv2d(3, 8, 3))], ids=["linear", "conv"]
)
def test_weights_are_laid_out_for_the_threads_that_run(layer: FusedLinear | FusedConv2d) -> None:
    """oneDNN brings a layout for two threads into that for one at every call: a ResNet-50 took three times as long."""
    x = torch.randn(5, 4) if isinstance(layer, FusedLinear) else torch.randn(1, 3, 9, 9)
    before, laid_out = torch.get_num_threads(), []
    try:
        with torch.inference_mode():
            for count in (1, 1, 2):
                torch.set_num_threads(count)
                torch.testing.assert_close(layer(x), layer.plain(x))
                laid_out.append(layer._packed["onednn"][1])
    finally:
        torch.set_num_threads(before)
    assert laid_out[0] is laid_out[1]
    assert laid_out[1] is not laid_out[2]


@pytest.mark.parametrize("layer", [FusedLinear(linear_of()), FusedConv2d(conv_of(8, 8))], ids=["linear", "convolution"])
def test_what_is_differentiated_is_left_to_torch(layer: FusedLinear | FusedConv2d) -> None:
    x = noise(2, 8, 9, 24).requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@torch.no_grad()
def test_sixteen_bits_under_autocast() -> None:
    linear, x = linear_of(), noise(9, 24)
    layer = FusedLinear(linear).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.fused(x, act=nn.GELU())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), nn.GELU()(linear_of()(x)), atol=0.03, rtol=0.03)


@torch.no_grad()
def test_traced_linear_layers_are_torchs_own() -> None:
    layer = FusedLinear(linear_of())
    traced = torch.jit.trace(layer, noise(9, 24))
    assert "mkldnn" not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(noise(3, 24)), layer(noise(3, 24)))


@pytest.mark.parametrize("kernel", KERNELS)
@torch.no_grad()
def test_attention_and_perceptron_in_a_copy(kernel) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"attention": Attention(32, 4), "feedforward": FeedForward(32, 64)}).eval()
    model.attention.in_proj_bias.normal_()
    query, key, value = noise(2, 5, 32), noise(2, 7, 32, seed=2), noise(2, 7, 32, seed=3)
    valid = torch.arange(7) < torch.tensor([[7], [4]])
    fast = fold_norms(model, linears=kernel)
    assert not any(type(layer) is nn.Linear for layer in fast.modules())
    torch.testing.assert_close(fast.attention(query, key, value, valid), model.attention(query, key, value, valid))
    torch.testing.assert_close(fast.feedforward(query), model.feedforward(query))
    assert set(model.attention.state_dict()) == {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
    half = optimize(nn.ModuleDict({"attention": Attention(32, 4)}), precision="bf16")
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_finish_of_a_layer_that_cannot() -> None:
    assert torch.equal(finish(nn.Identity(), noise(3, 4), nn.ReLU()), noise(3, 4).relu())


@pytest.mark.parametrize("shape", [(1, 128, 16, 16), (2, 128, 17, 22), (1, 128, 1, 64), (1, 128, 8, 8)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("add", [False, True])
@torch.no_grad()
def test_winograds_way_is_the_convolution(shape: tuple[int, ...], bias: bool, add: bool) -> None:
    conv = conv_of(128, 144, bias=bias)
    x, other = noise(*shape), noise(shape[0], 144, *shape[2:], seed=2)
    found = WinogradConv2d(conv).fused(x, other if add else None, relu=True)
    exact = nn.functional.conv2d(
        x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), padding=1
    )
    expected = (exact + other if add else exact).relu()
    assert (found - expected).abs().max() < 3e-5 * expected.abs().max()
    assert found.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_winograds_numbers_are_exact_for_integers() -> None:
    """Sums of small integers have no rounding: a wrong entry of a matrix cannot hide behind a tolerance."""
    generator = torch.Generator().manual_seed(0)
    weight = 24 * 24 * torch.randint(-3, 4, (8, 4, 3, 3), generator=generator).float()
    x = torch.randint(-3, 4, (1, 4, 9, 14), generator=generator).float()
    assert torch.equal(winograd(x, transformed(weight)), nn.functional.conv2d(x, weight, padding=1))


def test_which_convolutions_go_winograds_way(monkeypatch) -> None:
    assert suits(conv_of())
    for conv in (conv_of(groups=2), conv_of(stride=2), conv_of(dilation=2), nn.Conv2d(128, 128, 1), conv_of(64, 256)):
        assert not suits(conv)
    fast = fold_norms(nn.Sequential(conv_of(), conv_of(128, 64)), winograd=True)
    assert [type(layer) for layer in fast] == [WinogradConv2d, FusedConv2d]
    seen: list[Tensor] = []
    monkeypatch.setattr(
        "baimu.layers.winograd.winograd", lambda x, weight: seen.append(x) or torch.zeros(1, 128, 16, 16)
    )
    with torch.no_grad():
        fast[0](noise(1, 128, 8, 4))
        assert not seen, f"fewer than {LEAST_TILES} tiles"
        fast[0](noise(1, 128, 16, 16))
        fast[0](noise(1, 128, 16, 16).requires_grad_(False).double().float())
    assert len(seen) == 2
