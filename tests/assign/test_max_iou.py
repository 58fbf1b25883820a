"""IoU assignment against a loop that states the rule prior by prior, with ties, padding and no objects."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baimu.assign.max_iou import BACKGROUND, IGNORE, max_iou_assign
from baimu.ops.priors import anchor_grid, base_anchors
from baimu.targets import Targets
from tests.ops import oracle

OBJECTS = torch.tensor([[10.0, 12, 50, 60], [30, 30, 110, 100], [90, 5, 120, 30]])


def targets_of(*boxes: Tensor, pad: int = 0) -> Targets:
    """Images with these boxes, of one class, and ``pad`` more places than needed."""
    made = Targets.collate(
        list(boxes), [torch.zeros(len(b), dtype=torch.int64) for b in boxes], [(128, 128)] * len(boxes)
    )
    room = torch.zeros(len(boxes), pad, 4)
    nobody = torch.full((len(boxes), pad), -1)
    return Targets(torch.cat([made.boxes, room], 1), torch.cat([made.labels, nobody], 1), made.sizes)


def slow(priors: Tensor, boxes: Tensor, positive: float, negative: float, rule: str, min_positive: float) -> list[int]:
    iou = [[oracle.iou(p, b) for b in boxes.tolist()] for p in priors.tolist()]
    answer, own = [], []
    for row in iou:
        best = max(row, default=0.0)
        own.append(row.index(best) if row else BACKGROUND)
        answer.append(own[-1] if best >= positive and row else BACKGROUND if best < negative or not row else IGNORE)
    if rule == "no":
        return answer
    for j in range(len(boxes)):
        best = max(row[j] for row in iou)
        for i, row in enumerate(iou):
            if row[j] == best >= min_positive and best > 0:
                answer[i] = j if rule == "object" else own[i]
    return answer


@pytest.mark.parametrize("rule", ["no", "object", "prior"])
@pytest.mark.parametrize(("positive", "negative", "min_positive"), [(0.5, 0.4, 0.0), (0.7, 0.3, 0.3), (0.5, 0.5, 0.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_equals_the_loop_with_many_ties(rule, positive, negative, min_positive, seed: int) -> None:
    """Whole coordinates in a small place: equal best priors, equal best objects, IoUs exactly at a threshold."""
    priors = oracle.random_boxes(120, 14, seed=seed, largest=8)
    priors = torch.cat([priors, priors[:20], torch.tensor([[3.0, 3, 3, 3]])])
    objects = oracle.random_boxes(5, 14, seed=seed + 10, smallest=3, largest=8)
    objects = torch.cat([objects, objects[:1]])  # the same place twice: the later object wins its ties
    found = max_iou_assign(
        priors,
        targets_of(objects, objects[:1], objects[:0], pad=2),
        positive=positive,
        negative=negative,
        low_quality=rule,
        min_positive=min_positive,
    )
    for row, boxes in zip(found.tolist(), (objects, objects[:1], objects[:0]), strict=True):
        assert row == slow(priors, boxes, positive, negative, rule, min_positive)
    assert set(found[2].tolist()) == {BACKGROUND}, "an image without objects is all background"


def test_the_golden_assignment_of_retinanet() -> None:
    octaves = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    anchors = torch.cat(
        [anchor_grid(base_anchors(4 * s, octaves, (0.5, 1.0, 2.0)), 128 // s, 128 // s, s) for s in (8, 16, 32)]
    )
    assert len(anchors) == 3024
    index = max_iou_assign(anchors, targets_of(OBJECTS), positive=0.5, negative=0.4, low_quality="object")[0]
    assert [int((index == i).sum()) for i in (0, 1, 2, IGNORE)] == [28, 27, 6, 168]


def test_priors_may_differ_between_images() -> None:
    priors = torch.stack([oracle.random_boxes(40, 60, seed=s) for s in (0, 1)])
    objects = [oracle.random_boxes(3, 60, seed=2), oracle.random_boxes(2, 60, seed=3)]
    both = max_iou_assign(priors, targets_of(*objects), positive=0.3, negative=0.2, low_quality="object")
    for i in range(2):
        alone = max_iou_assign(priors[i], targets_of(objects[i]), positive=0.3, negative=0.2, low_quality="object")
        assert torch.equal(both[i], alone[0])


def test_low_quality_gives_every_object_a_prior_and_the_two_readings_differ() -> None:
    priors = torch.tensor([[0.0, 0, 10, 10], [40, 40, 50, 50]])
    objects = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 2]])  # both want the first prior; it wants the first object
    for rule, expected in (("no", [0, BACKGROUND]), ("object", [1, BACKGROUND]), ("prior", [0, BACKGROUND])):
        found = max_iou_assign(priors, targets_of(objects), positive=0.7, negative=0.3, low_quality=rule)
        assert found[0].tolist() == expected, rule


def test_an_object_that_overlaps_nothing_takes_nothing() -> None:
    """Its best IoU is 0, and all priors tie for it."""
    priors = torch.tensor([[0.0, 0, 10, 10], [40, 40, 50, 50]])
    for rule in ("object", "prior"):
        found = max_iou_assign(
            priors, targets_of(torch.tensor([[90.0, 90, 95, 95]])), positive=0.5, negative=0.4, low_quality=rule
        )
        assert found[0].tolist() == [BACKGROUND, BACKGROUND], rule


def test_low_quality_stops_at_its_own_threshold() -> None:
    priors, objects = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 5, 5]])  # IoU 1/4
    for floor, expected in ((0.25, 0), (0.26, BACKGROUND)):
        found = max_iou_assign(
            priors, targets_of(objects), positive=0.7, negative=0.3, low_quality="object", min_positive=floor
        )
        assert found.item() == expected


@settings(max_examples=25)
@given(oracle.box_sets(count=12), oracle.box_sets(count=3, smallest=1), st.permutations(range(12)))
def test_the_order_of_priors_does_not_matter(priors: Tensor, objects: Tensor, order: list[int]) -> None:
    rules = {"positive": 0.4, "negative": 0.3, "low_quality": "object"}
    found = max_iou_assign(priors, targets_of(objects), **rules)[0]
    assert torch.equal(max_iou_assign(priors[order], targets_of(objects), **rules)[0], found[order])


def test_a_higher_threshold_never_adds_positives() -> None:
    priors, objects = oracle.random_boxes(200, 60, seed=0), oracle.random_boxes(4, 60, seed=1)
    counts = [
        int((max_iou_assign(priors, targets_of(objects), positive=p, negative=0.1) >= 0).sum()) for p in (0.2, 0.4, 0.6)
    ]
    assert all(a >= b for a, b in pairwise(counts))
    assert counts[0] > counts[-1]
