"""Convolutions that learn in bfloat16 on a CPU: what is computed in another way is the same."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from baimu.layers import cpu_conv
from baimu.layers.cpu_conv import SmallConv, convolve


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3)])
def test_gradients_are_those_of_torchs_convolution(kernel, stride, dilation, padding):
    x, weight = (t.double().requires_grad_() for t in (noise(2, 3, 8, 7), noise(4, 3, *kernel, seed=1)))
    numbers = [(n, n) for n in (stride, padding, dilation)]
    found, expected = SmallConv.apply(x, weight, *numbers), torch.conv2d(x, weight, None, *numbers)
    assert torch.equal(found, expected)
    gradient = noise(*found.shape, seed=2).double()
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), gradient) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def test_the_gradient_can_be_differentiated_again():
    """As penalties on gradients ask."""
    x, weight = (t.double().requires_grad_() for t in (noise(1, 2, 3, 3), noise(2, 2, 2, 2, seed=1)))
    run = lambda x, weight: SmallConv.apply(x, weight, (1, 1), (1, 1), (1, 1))  # noqa: E731
    assert gradcheck(run, (x, weight))
    assert gradgradcheck(run, (x, weight))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 16, 3, padding=1, stride=2, bias=False),
        nn.Conv2d(8, 16, 1),
    ],
    ids=["depthwise", "small", "with bias"],
)
def test_bfloat16_gradients_are_as_near_to_float32s_as_torchs(conv):
    x = noise(4, 8, 7, 7).contiguous(memory_format=torch.channels_last)

    def gradients(run) -> list[Tensor]:
        conv.zero_grad()
        own = x.clone().requires_grad_()
        y = run(own)
        (y.float() * noise(*y.shape, seed=3)).sum().backward()
        return [g.clone() for g in (own.grad, *(p.grad for p in conv.parameters()))]

    exact = gradients(conv)
    with torch.autocast("cpu", torch.bfloat16):
        torchs, ours = gradients(conv), gradients(lambda x: convolve(conv, x))
    for right, usual, found in zip(exact, torchs, ours, strict=True):
        scale = right.abs().max()
        assert found.dtype == right.dtype
        assert (found - right).abs().max() / scale <= max(1.5 * (usual - right).abs().max() / scale, 2**-8)


@pytest.mark.parametrize(
    ("conv", "size", "small"),
    [
        (nn.Conv2d(4, 4, 3, padding=1), 7, True),
        (nn.Conv2d(4, 4, 3, padding=1), 8, False),
        (nn.Conv2d(4, 4, 3, padding=1, stride=2), 14, True),
        (nn.Conv2d(4, 4, 3, padding=1, groups=2), 4, False),
        (nn.Conv2d(4, 4, 3, padding="same"), 4, False),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 4, False),
    ],
)
def test_only_what_is_slow_is_taken_over_and_only_where_it_learns(conv, size, small):
    x = noise(1, 4, size, size)
    with mock.patch.object(cpu_conv.SmallConv, "apply", wraps=SmallConv.apply) as taken:
        convolve(conv, x)  # float32
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            convolve(conv, x)
        assert taken.call_count == 0
        with torch.autocast("cpu", torch.bfloat16):
            y = convolve(conv, x)
            assert taken.call_count == small
            assert y.shape == conv(x).shape


def test_patches_that_would_not_fit_the_cache_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(cpu_conv, "MOST_NUMBERS", 2 * 16 * 36 - 1)
    conv = nn.Conv2d(4, 4, 3, padding=1)
    autocast = torch.autocast("cpu", torch.bfloat16)
    with autocast, mock.patch.object(cpu_conv.SmallConv, "apply", wraps=SmallConv.apply) as taken:
        convolve(conv, noise(1, 4, 4, 4))
        assert taken.call_count == 1
        convolve(conv, noise(2, 4, 4, 4))
        assert taken.call_count == 1
