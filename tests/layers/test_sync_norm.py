"""Two processes with unequal shares of a batch compute, forwards and backwards, what one does with all of it."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from baimu.layers.norm import sync_batch_norm
from baimu.layers.precise_norm import precise_statistics
from baimu.layers.sync_norm import SyncBatchNorm2d
from tests.training.test_distributed import in_two_processes

SHARES = (slice(0, 2), slice(2, 7))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, 4, 5, generator=random) * torch.tensor([1.0, 4, 0.2])[:, None, None] + 5
    return x, torch.randn(7, 3, 4, 5, generator=random)


def learned(norm: nn.Module) -> nn.Module:
    norm.weight.data = torch.tensor([1.0, -0.5, 2])
    norm.bias.data = torch.tensor([0.1, 0.2, -0.3])
    return norm


@pytest.mark.parametrize("momentum", [0.1, None])
def test_outputs_gradients_and_statistics_equal_those_of_one_process(momentum: float | None) -> None:
    x, weight = batch()
    x.requires_grad_()
    alone = learned(nn.BatchNorm2d(3, momentum=momentum))
    expected = alone(x)
    slopes = torch.autograd.grad((expected * weight).sum(), [x, alone.weight, alone.bias])

    def work(rank: int) -> None:
        mine = SHARES[rank]
        norm = learned(SyncBatchNorm2d(3, momentum=momentum))
        own = x.detach()[mine].requires_grad_()
        found = norm(own)
        torch.testing.assert_close(found, expected[mine])
        of_input, *of_parameters = torch.autograd.grad((found * weight[mine]).sum(), [own, norm.weight, norm.bias])
        torch.testing.assert_close(of_input, slopes[0][mine], atol=1e-5, rtol=1e-4)
        for slope, whole in zip(of_parameters, slopes[1:], strict=True):
            dist.all_reduce(slope)
            torch.testing.assert_close(slope, whole, atol=1e-5, rtol=1e-4)
        for name, buffer in alone.named_buffers():
            torch.testing.assert_close(norm.get_buffer(name), buffer)

    in_two_processes(work)


def test_alone_and_in_evaluation_it_is_batch_norm() -> None:
    x, _ = batch()
    ours, theirs = learned(sync_batch_norm(3)), learned(nn.BatchNorm2d(3))
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))

    def work(rank: int) -> None:
        torch.testing.assert_close(ours(x[rank : rank + 1]), theirs(x[rank : rank + 1]))

    in_two_processes(work)


def test_precise_statistics_go_over_all_processes_too() -> None:
    x, _ = batch()
    with torch.no_grad(), precise_statistics(alone := nn.BatchNorm2d(3)):
        alone(x)

    def work(rank: int) -> None:
        with torch.no_grad(), precise_statistics(norm := sync_batch_norm(3)):
            norm(x[SHARES[rank]])
        torch.testing.assert_close(norm.running_mean, alone.running_mean)
        torch.testing.assert_close(norm.running_var, alone.running_var)

    in_two_processes(work)


def test_half_precision_stays_and_its_sums_are_float32() -> None:
    def work(rank: int) -> None:
        assert sync_batch_norm(3)(batch()[0].bfloat16()).dtype == torch.bfloat16

    in_two_processes(work)
