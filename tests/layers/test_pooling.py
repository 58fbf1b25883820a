"""Generalized-mean pooling: the spec's numbers, its limits, its gradient."""

from __future__ import annotations

import pytest
import torch

from baimu.layers.pooling import GeM, Mean, generalized_mean, mean_grid

CELLS = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)


@pytest.mark.parametrize(("p", "expected"), [(3.0, 2.92401774), (1.0, 2.5), (50.0, 3.8906)])
def test_numbers(p: float, expected: float) -> None:
    assert generalized_mean(CELLS.double(), p).item() == pytest.approx(expected, rel=1e-4)


def test_one_is_the_mean_and_large_exponents_come_near_the_maximum() -> None:
    maps = torch.rand(2, 3, 4, 5) + 0.1
    torch.testing.assert_close(generalized_mean(maps, 1.0), Mean()(maps))
    torch.testing.assert_close(generalized_mean(maps, 60.0), maps.amax((2, 3)), rtol=0.06, atol=0)


def test_the_exponent_learns() -> None:
    pool, maps = GeM().double(), torch.rand(2, 3, 4, 5).double() + 0.1
    pool(maps).sum().backward()
    step = 1e-6
    with torch.no_grad():
        slope = (generalized_mean(maps, 3 + step) - generalized_mean(maps, 3 - step)).sum() / (2 * step)
    assert pool.p.grad is not None
    assert pool.p.grad.item() == pytest.approx(slope.item(), rel=1e-5)


def test_half_precision_does_not_overflow() -> None:
    assert generalized_mean(torch.full((1, 1, 2, 2), 300.0).half(), 3.0).item() == pytest.approx(300)


@pytest.mark.parametrize("grid", [1, 2, 3, 6])
def test_means_of_a_grid_are_torchs_in_graphs_too(grid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even parts, parts that share cells, and parts that are larger than the map."""
    for height, width in ((12, 6), (7, 13), (3, 2)):
        maps = torch.randn(2, 4, height, width, dtype=torch.float64)
        wanted = mean_grid(maps, grid)
        assert torch.equal(wanted, torch.nn.functional.adaptive_avg_pool2d(maps, grid))
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            torch.testing.assert_close(mean_grid(maps, grid), wanted)
