"""Set matching against all permutations, and its cost against a slow loop; ties, no objects, too many, NaN."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from baimu.assign.hungarian import hungarian_assign, match, set_cost
from baimu.targets import Targets


def cheapest(cost: Tensor) -> float:
    """The total of the best one-to-one matching of a (Q, M) matrix, over all of them."""
    rows, columns = cost.shape
    if rows < columns:
        return cheapest(cost.T)
    totals = (sum(cost[q, m].item() for m, q in enumerate(p)) for p in itertools.permutations(range(rows), columns))
    return min(totals)


def total(cost: Tensor, index: Tensor) -> float:
    return sum(cost[q, m].item() for q, m in enumerate(index.tolist()) if m >= 0)


def assert_one_to_one(index: Tensor, objects: int) -> None:
    taken = [m for m in index.tolist() if m >= 0]
    assert len(taken) == len(set(taken)) == min(objects, len(index))
    assert set(taken) <= set(range(objects))


def random_case(
    seed: int, counts: tuple[int, ...], queries: int, classes: int = 3, layers: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor, Targets]:
    """Logits, boxes cxcywh and targets of images of different valid sizes."""
    generator = torch.Generator().manual_seed(seed)
    batch = len(counts)
    logits = torch.randn(*layers, batch, queries, classes + 1, generator=generator)
    boxes = torch.rand(*layers, batch, queries, 4, generator=generator)
    objects, labels, sizes = [], [], []
    for i, count in enumerate(counts):
        height, width = 60 + 13 * i, 100 - 7 * i
        corners = torch.rand(count, 2, 2, generator=generator).sort(1).values
        objects.append(corners.flatten(1) * torch.tensor([width, height] * 2))
        labels.append(torch.randint(0, classes, (count,), generator=generator))
        sizes.append((height, width))
    return logits, boxes, Targets.collate(objects, labels, sizes)


def slow_cost(logits: Tensor, box: Tensor, label: int, truth: Tensor, size: tuple[int, int]) -> float:
    """−p + 5 L1 − 2 GIoU of one query and one object, on numbers."""
    height, width = size
    probability = math.exp(logits[label]) / sum(math.exp(x) for x in logits)
    x1, y1, x2, y2 = truth.tolist()
    wanted = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    cx, cy, w, h = box.tolist()
    distance = sum(abs(a - b) for a, b in zip((cx, cy, w, h), wanted, strict=True))
    a1, b1, a2, b2 = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
    overlap = max(0, min(x2, a2) - max(x1, a1)) * max(0, min(y2, b2) - max(y1, b1))
    union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - overlap
    hull = (max(x2, a2) - min(x1, a1)) * (max(y2, b2) - min(y1, b1))
    return -probability + 5 * distance - 2 * (overlap / union - (hull - union) / hull)


def test_the_cost_is_the_papers() -> None:
    logits, boxes, targets = random_case(0, (3, 1, 0), queries=5)
    cost = set_cost(logits, boxes, targets, (1.0, 5.0, 2.0))
    assert cost.shape == (3, 5, 3)
    for b, q, m in itertools.product(*map(range, cost.shape)):
        if targets.valid[b, m]:
            size = tuple(targets.sizes[b].tolist())
            expected = slow_cost(logits[b, q], boxes[b, q], int(targets.labels[b, m]), targets.boxes[b, m], size)
            assert cost[b, q, m].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
        else:
            assert cost[b, q, m] == math.inf


def test_each_weight_is_of_its_part() -> None:
    case = random_case(1, (2, 2), queries=4)
    parts = [set_cost(*case, weights) for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    assert ((parts[0] <= 0) & (parts[0] >= -1)).all()
    assert (parts[1] >= 0).all()
    assert ((parts[2] <= 1) & (parts[2] >= -1)).all()
    torch.testing.assert_close(2 * parts[0] + 3 * parts[1] + 4 * parts[2], set_cost(*case, (2.0, 3.0, 4.0)))


@pytest.mark.parametrize("seed", range(20))
def test_no_other_matching_is_cheaper(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, objects = (int(torch.randint(1, 6, (), generator=generator)) for _ in range(2))
    cost = torch.randn(2, queries, objects, generator=generator)
    for matrix, index in zip(cost, match(cost), strict=True):
        assert_one_to_one(index, objects)
        assert total(matrix, index) == pytest.approx(cheapest(matrix), abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_ties_are_broken_somehow_but_always_alike(seed: int) -> None:
    cost = torch.randint(0, 2, (3, 5, 4), generator=torch.Generator().manual_seed(seed)).float()
    index = match(cost)
    for matrix, row in zip(cost, index, strict=True):
        assert_one_to_one(row, 4)
        assert total(matrix, row) == cheapest(matrix)
    assert torch.equal(match(cost), index)
    assert torch.equal(match(cost[1:2])[0], index[1]), "whatever else is in the batch"


def test_layers_and_images_are_matched_each_for_itself() -> None:
    logits, boxes, targets = random_case(2, (3, 0, 5), queries=4, layers=(2,))
    index = hungarian_assign(logits, boxes, targets)
    assert index.shape == (2, 3, 4)
    assert index.dtype == torch.int64
    for layer in range(2):
        assert torch.equal(hungarian_assign(logits[layer], boxes[layer], targets), index[layer])
        for image, count in enumerate((3, 0, 5)):
            assert_one_to_one(index[layer, image], count)


def test_padding_may_stand_anywhere_and_is_never_matched() -> None:
    logits, boxes, targets = random_case(3, (2,), queries=4)
    order = torch.tensor([2, 0, 3, 1])  # objects 0 and 1 at places 1 and 3
    padded = Targets(
        torch.cat([targets.boxes, torch.zeros(1, 2, 4)], 1)[:, order],
        torch.cat([targets.labels, torch.full((1, 2), -1)], 1)[:, order],
        targets.sizes,
    )
    moved = torch.tensor([1, 3, -1])[hungarian_assign(logits, boxes, targets)]
    assert torch.equal(hungarian_assign(logits, boxes, padded), moved)


def test_no_objects_at_all() -> None:
    logits, boxes, targets = random_case(4, (0, 0), queries=3)
    assert hungarian_assign(logits, boxes, targets).tolist() == [[-1] * 3] * 2


def test_perfect_answers_find_their_objects() -> None:
    logits, boxes, targets = random_case(5, (3,), queries=6)
    height, width = targets.sizes[0].tolist()
    x1, y1, x2, y2 = (targets.boxes[0] / torch.tensor([width, height] * 2)).unbind(1)
    places = torch.tensor([4, 0, 5])
    boxes[0, places] = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
    assert hungarian_assign(logits, boxes, targets)[0, places].tolist() == [0, 1, 2]


def test_a_prediction_that_is_no_number_is_matched_so_that_the_loss_shows_it() -> None:
    for part in range(2):
        logits, boxes, targets = random_case(6, (1,), queries=5)
        (logits, boxes)[part][0, 3] = math.nan
        assert hungarian_assign(logits, boxes, targets)[0].tolist() == [-1, -1, -1, 0, -1]
    logits, boxes, targets = random_case(6, (2,), queries=5)
    assert_one_to_one(hungarian_assign(logits * math.nan, boxes, targets)[0], 2)


def test_no_gradient_and_half_precision_logits() -> None:
    logits, boxes, targets = random_case(7, (2, 1), queries=5)
    index = hungarian_assign(logits.requires_grad_(), boxes, targets)
    assert not index.requires_grad
    exact = logits.detach().bfloat16()
    assert torch.equal(hungarian_assign(exact, boxes, targets), hungarian_assign(exact.float(), boxes, targets))
