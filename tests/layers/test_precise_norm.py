"""Precise batch norm has the statistics of everything that passed, however it was cut into batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.layers.norm import affine_batch_norm
from baimu.layers.precise_norm import Population, precise_statistics
from tests.training.test_distributed import in_two_processes


def data(count: int = 24) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 5, 4, generator=random) * torch.tensor([1.0, 5, 0.1])[:, None, None] + 7


def exact(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = x.double().transpose(0, 1).flatten(1)
    return values.mean(1).float(), values.var(1).float()


@pytest.mark.parametrize("sizes", [[24], [8, 8, 8], [1, 20, 3]])
def test_a_first_layer_gets_the_exact_statistics_of_the_whole_set(sizes: list[int]) -> None:
    norm = nn.BatchNorm2d(3)
    norm(data(4) * 100)  # a memory that must go
    with torch.no_grad(), precise_statistics(norm):
        for batch in data().split(sizes):
            norm(batch)
    mean, var = exact(data())
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, var)
    assert norm.num_batches_tracked.item() == 1


def test_with_all_data_in_one_batch_evaluation_equals_training() -> None:
    """Deeper norms too: with the statistics of the one batch they compute what they computed on it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
    with torch.no_grad(), precise_statistics(net):
        trained = net(data())
    count = trained.numel() // 4
    torch.testing.assert_close(net.eval()(data()), trained, rtol=2 / count, atol=2 / count)  # n / (n − 1), twice


def test_what_nothing_reaches_and_what_is_not_in_training_stays() -> None:
    net = nn.ModuleDict({
        "unused": nn.BatchNorm1d(2), "settled": nn.BatchNorm1d(2).eval(), "frozen": affine_batch_norm(2),
        "used": nn.BatchNorm1d(2), "stateless": nn.BatchNorm1d(2, track_running_stats=False),
    })  # fmt: skip
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with precise_statistics(net):
        for name in ("settled", "used", "stateless"):
            net[name](torch.randn(9, 2) + 4)
    changed = [key for key, value in net.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["used.running_mean", "used.running_var"]


def test_an_error_leaves_everything_as_it_was() -> None:
    norm = nn.BatchNorm2d(3)

    def broken() -> None:
        with precise_statistics(norm):
            norm(data())
            norm(torch.zeros(2, 3))

    with pytest.raises(ValueError, match="expected 4D"):
        broken()
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.num_batches_tracked.item() == 0
    assert not norm._forward_pre_hooks


def test_populations_join_in_any_order() -> None:
    values = torch.randn(30, 2, dtype=torch.float64) * 3 + 1
    parts = []
    for piece in (values[:4], values[4:5], values[5:]):
        parts.append(Population(len(piece), piece.mean(0), ((piece - piece.mean(0)) ** 2).sum(0)))
    for order in ((0, 1, 2), (2, 0, 1)):
        joined = Population()
        for i in order:
            joined.join(parts[i])
        joined.join(Population())
        torch.testing.assert_close(joined.mean, values.mean(0))
        torch.testing.assert_close(joined.squares / 29, values.var(0))


def test_processes_share_what_passed_in_each_of_them() -> None:
    def work(rank: int) -> None:
        norm = nn.BatchNorm2d(3)
        with torch.no_grad(), precise_statistics(norm):
            for batch in data().split([6, 2, 16])[rank::2]:
                norm(batch)
        mean, var = exact(data())
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, var)

    in_two_processes(work)
