"""Chains and branches against the same convolutions one by one."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.layers.branches import Branches, conv_chain, split
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import batch_norm


def brick(x: Tensor, layer: ConvNorm, stride: int, padding: int | tuple[int, int]) -> Tensor:
    norm = layer.norm
    assert isinstance(norm, nn.BatchNorm2d)
    x = F.conv2d(x, layer.conv.weight, None, stride, padding)
    return F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps))


def test_a_chain_is_its_steps_with_same_padding_unless_told() -> None:
    torch.manual_seed(0)
    chain = conv_chain(3, (4, 1), (5, (1, 7)), (6, (7, 1)), (7, 3, 2, 0), norm=batch_norm).eval()
    x = torch.randn(2, 3, 9, 11)
    expected = x
    for layer, (stride, padding) in zip(chain.children(), [(1, 0), (1, (0, 3)), (1, (3, 0)), (2, 0)], strict=True):
        assert isinstance(layer, ConvNorm)
        expected = brick(expected, layer, stride, padding)
    with torch.no_grad():
        torch.testing.assert_close(chain(x), expected)
    assert expected.shape == (2, 7, 4, 5)
    assert isinstance(conv_chain(3, (4, 1), norm=batch_norm), ConvNorm), "one step is no sequence"


def test_branches_join_in_their_order() -> None:
    branches = Branches(late=nn.Identity(), early=nn.ReLU())
    x = torch.tensor([[[[-1.0]], [[2.0]]]])
    assert branches(x).flatten().tolist() == [-1, 2, 0, 2]


def test_a_split_is_a_row_and_a_column() -> None:
    halves = split(partial(conv_chain, norm=batch_norm), 3, 4).eval()
    convs = [m for m in halves.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.kernel_size for conv in convs] == [(1, 3), (3, 1)]
    assert halves(torch.randn(1, 3, 5, 6)).shape == (1, 8, 5, 6)


def test_another_activation_takes_the_place_of_relu() -> None:
    chain = conv_chain(2, (3, 1), norm=lambda channels: nn.Identity(), act=nn.Tanh)
    assert isinstance(chain, ConvNorm)
    x = torch.randn(1, 2, 3, 3)
    torch.testing.assert_close(chain(x), chain.conv(x).tanh())
