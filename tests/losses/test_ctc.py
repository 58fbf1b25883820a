"""CTC against the sum over all alignments, written out, and against the numbers of two symbols of equal chance."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from baimu.losses.ctc import ctc_loss, steps_needed


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


def enumerated(log_p: Tensor, labels: list[int]) -> Tensor:
    """``−log`` of the sum over all paths (T,) that become ``labels``."""
    paths = itertools.product(range(log_p.shape[1]), repeat=len(log_p))
    right = [path for path in paths if collapsed(path, log_p.shape[1] - 1) == labels]
    sums = [torch.stack([log_p[t, label] for t, label in enumerate(path)]).sum() for path in right]
    return -torch.logsumexp(torch.stack(sums), 0)


@pytest.mark.parametrize("labels", [[], [0], [0, 1], [1, 1], [2, 0, 2], [0, 0, 1]])
def test_every_alignment_counts_once(labels: list[int]) -> None:
    torch.manual_seed(len(labels))
    logits = torch.randn(1, 5, 4, requires_grad=True)
    log_p = logits.log_softmax(2)
    expected = enumerated(log_p[0], labels)
    found = ctc_loss(log_p, torch.tensor([[*labels, -1]]), torch.tensor([5]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    theirs, ours = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (expected, found.sum()))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_two_symbols_of_equal_chance() -> None:
    half = torch.full((1, 3, 2), math.log(0.5))

    def loss(labels: list[int], steps: int) -> float:
        return ctc_loss(half, torch.tensor([labels]), torch.tensor([steps])).item()

    assert loss([0], 2) == pytest.approx(0.28768207)  # 3 of 4 paths
    assert loss([0], 3) == pytest.approx(0.28768207)  # 6 of 8
    assert loss([0, 0], 3) == pytest.approx(math.log(8))  # only a, blank, a
    assert loss([0, 0], 2) == math.inf
    assert loss([-1], 3) == pytest.approx(math.log(8))  # nothing but blanks


def test_rows_do_not_see_each_other_nor_their_padding() -> None:
    torch.manual_seed(0)
    log_p = torch.randn(3, 6, 5).log_softmax(2)
    rows, steps = [[1, 2, 2], [3], [0, 4]], [6, 4, 5]
    padded = torch.full((3, 5), -1)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = torch.tensor(row)
    together = ctc_loss(log_p, padded, torch.tensor(steps))
    for i, row in enumerate(rows):
        alone = ctc_loss(log_p[i : i + 1, : steps[i]], torch.tensor([row]), torch.tensor(steps[i : i + 1]))
        assert together[i].item() == pytest.approx(alone.item(), rel=1e-6)


def test_what_cannot_be_written_teaches_nothing() -> None:
    logits = torch.randn(2, 2, 3, requires_grad=True)
    loss = ctc_loss(logits.log_softmax(2), torch.tensor([[0, 0], [0, 1]]), torch.tensor([2, 2]))
    assert loss[0] == torch.inf
    loss[loss.isfinite()].sum().backward()
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert bool(logits.grad[1].any())


def test_steps_needed() -> None:
    rows = torch.tensor([[0, 1, 2, -1], [1, 1, 1, -1], [2, 2, 0, 0], [-1, -1, -1, -1]])
    assert steps_needed(rows).tolist() == [3, 5, 6, 0]
