"""Frozen batch norm is batch norm in eval mode, and folding it into a convolution changes nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from baimu.layers.norm import (
    FrozenBatchNorm2d,
    activated,
    affine_batch_norm,
    batch_norm,
    conv_norm,
    frozen_batch_norm,
    group_norm,
    sync_batch_norm,
    with_numbers,
)

CHANNELS = 32


def learned(norm: nn.Module, seed: int = 0) -> nn.Module:
    """A norm with statistics, scale and shift as after training."""
    random = torch.Generator().manual_seed(seed)
    state = norm.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            around = 0.0 if name in ("bias", "running_mean") else 1.0
            state[name] = torch.rand(value.shape, generator=random) - 0.5 + around
    norm.load_state_dict(state)
    return norm


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_frozen_equals_batch_norm_in_eval_mode_and_either_loads_the_other() -> None:
    theirs = learned(nn.BatchNorm2d(CHANNELS)).eval()
    frozen = FrozenBatchNorm2d(CHANNELS).train()
    frozen.load_state_dict(theirs.state_dict())
    back = nn.BatchNorm2d(CHANNELS).eval()
    back.load_state_dict(frozen.state_dict())
    x = noise(2, CHANNELS, 5, 7)
    torch.testing.assert_close(frozen(x), theirs(x), atol=1e-6, rtol=1e-5)
    assert torch.equal(back(x), theirs(x))


def test_frozen_statistics_survive_training_and_only_affine_learns() -> None:
    for norm, trainable in ((frozen_batch_norm(CHANNELS), []), (affine_batch_norm(CHANNELS), ["weight", "bias"])):
        norm = learned(norm).train()
        before = {k: v.clone() for k, v in norm.state_dict().items()}
        norm(noise(2, CHANNELS, 4, 4) * 3 + 1)
        assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
        assert [n for n, p in norm.named_parameters() if p.requires_grad] == trainable


def test_frozen_keeps_the_precision_of_its_input() -> None:
    assert frozen_batch_norm(CHANNELS)(noise(1, CHANNELS, 2, 2).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("make", [batch_norm, sync_batch_norm, frozen_batch_norm, affine_batch_norm, group_norm])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_add", [False, True])
def test_conv_norm_is_conv_then_norm_then_add_then_relu(make, bias: bool, relu: bool, with_add: bool) -> None:
    """Values and gradients, whichever norm is folded and whichever is not."""
    torch.manual_seed(0)
    conv = nn.Conv2d(8, CHANNELS, 3, stride=2, padding=2, dilation=2, groups=4, bias=bias)
    norm = learned(make(CHANNELS)).eval()
    x, add = noise(2, 8, 9, 11).requires_grad_(), noise(2, CHANNELS, 5, 6, seed=2).requires_grad_()

    plain = norm(conv(x))
    plain = plain + add if with_add else plain
    plain = F.relu(plain) if relu else plain
    found = conv_norm(conv, norm, x, add=add if with_add else None, relu=relu)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)

    learning = [
        x,
        *([add] if with_add else []),
        *(p for p in (*conv.parameters(), *norm.parameters()) if p.requires_grad),
    ]
    weight = noise(*plain.shape, seed=3)
    slopes = torch.autograd.grad((plain * weight).sum(), learning)
    for ours, theirs in zip(torch.autograd.grad((found * weight).sum(), learning), slopes, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_papers_numbers_go_to_whatever_has_them() -> None:
    made = with_numbers(batch_norm, eps=1e-3, momentum=0.01)(CHANNELS)
    assert (made.eps, made.momentum) == (1e-3, 0.01)
    assert with_numbers(batch_norm, eps=1e-3)(CHANNELS).momentum == 0.1
    assert with_numbers(frozen_batch_norm, eps=1e-3, momentum=0.01)(CHANNELS).eps == 1e-3
    assert not hasattr(with_numbers(group_norm, eps=1e-3, momentum=0.01)(CHANNELS), "momentum")


@pytest.mark.parametrize("act", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Mish, nn.LeakyReLU])
def test_an_activation_writes_over_its_input_only_where_no_gradient_misses_it(act: type[nn.Module]) -> None:
    x = noise(3, 5) * 4
    expected = act()(x)
    frozen = x.clone()
    torch.testing.assert_close(activated(frozen, act()), expected)
    assert torch.equal(frozen, expected) == (act in (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish))
    leaf = x.clone().requires_grad_()
    found, plain = activated(leaf * 1, act()), act()(leaf)
    slopes = [torch.autograd.grad(out.square().sum(), leaf)[0] for out in (found, plain)]
    torch.testing.assert_close(slopes[0], slopes[1])
    assert torch.equal(activated(x, None), x)
