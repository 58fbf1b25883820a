"""Suppression against a quadratic loop with ties, on both of its ways, and the padding of its answer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baimu.ops import nms
from baimu.ops.nms import grouped_nms, keep_best, multiclass_nms, no_nms
from tests.ops import oracle


@pytest.fixture(params=["one call", "a call a group"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways a CPU takes, whatever the number of boxes."""
    monkeypatch.setattr(nms, "_ONE_CALL", 10**9 if request.param == "one call" else 0)
    return request.param


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.3])
def test_it_equals_a_loop_with_ties_of_score_and_of_threshold(way: str, threshold: float) -> None:
    """Whole coordinates and few scores: many pairs stand exactly at the threshold, many scores are equal."""
    random = torch.Generator().manual_seed(0)
    boxes = oracle.random_boxes(160, 20, seed=3, largest=12)
    scores = torch.randint(1, 9, (160,), generator=random) / 8
    groups = torch.randint(0, 3, (160,), generator=random)
    exact = [oracle.iou(a, b) == threshold for a in boxes.tolist() for b in boxes.tolist()]
    assert any(exact), "the case has pairs exactly at the threshold"
    kept = grouped_nms(boxes, scores, groups, threshold)
    assert sorted(kept.tolist()) == sorted(oracle.nms(boxes.tolist(), scores.tolist(), groups.tolist(), threshold))


def test_the_two_ways_agree_where_the_second_begins() -> None:
    boxes = oracle.random_boxes(nms._ONE_CALL + 200, 300, seed=0, largest=60)
    random = torch.Generator().manual_seed(1)
    scores, groups = torch.rand(len(boxes), generator=random), torch.randint(0, 5, (len(boxes),), generator=random)
    kept = set(grouped_nms(boxes, scores, groups, 0.5).tolist())
    first = [set(part[grouped_nms(boxes[part], scores[part], groups[part], 0.5)].tolist())
             for part in ((groups == g).nonzero()[:, 0] for g in range(5))]  # fmt: skip
    assert kept == set().union(*first)


def test_equal_boxes_of_equal_score_keep_the_first(way: str) -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9]]).repeat(5, 1)
    assert grouped_nms(boxes, torch.full((5,), 0.5), torch.tensor([1, 0, 1, 0, 1]), 0.5).sort().values.tolist() == [
        0,
        1,
    ]


@pytest.mark.parametrize("place", [-1e6, 0.0, 1e6])
def test_groups_never_meet_however_large_the_coordinates(way: str, place: float) -> None:
    """Neither is any IoU changed: a box of 8 px shifted by 2 has IoU 0.6 with the first, by 3 has 5 / 11."""
    box = torch.tensor([[0.0, 0, 8, 8], [2, 0, 10, 8], [3, 0, 11, 8], [0, 0, 2e6, 1]]) + place
    boxes, groups = box.repeat(60, 1), torch.arange(60).repeat_interleave(4)
    kept = grouped_nms(boxes, torch.linspace(1, 0.5, 240), groups, 0.5)
    assert sorted(kept.tolist()) == [4 * g + i for g in range(60) for i in (0, 2, 3)]


def test_nothing_comes_of_nothing(way: str) -> None:
    empty = torch.zeros(0, 4)
    assert grouped_nms(empty, empty[:, 0], empty[:, 0].long(), 0.5).shape == (0,)
    found = multiclass_nms(torch.zeros(2, 6, 4), torch.zeros(2, 6), torch.zeros(2, 6, dtype=torch.int64), 0.5, 4)
    assert found.counts.tolist() == [0, 0]
    assert found.labels.tolist() == [[-1] * 4] * 2
    none = multiclass_nms(torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64), 0.5, 3)
    assert [x.shape for x in none[:4]] == [(2, 3, 4), (2, 3), (2, 3), (2,)]
    assert none.counts.tolist() == [0, 0]


def test_a_batch_equals_the_loop_image_by_image(way: str) -> None:
    random = torch.Generator().manual_seed(5)
    boxes = oracle.random_boxes(240, 40, seed=4).reshape(3, 80, 4)
    scores = torch.rand(3, 80, generator=random) * (torch.rand(3, 80, generator=random) > 0.3)
    labels = torch.randint(0, 4, (3, 80), generator=random)
    found = multiclass_nms(boxes, scores, labels, 0.4, 15)
    for i in range(3):
        takes_part = [j for j in range(80) if scores[i, j] > 0]
        kept = oracle.nms(
            boxes[i, takes_part].tolist(), scores[i, takes_part].tolist(), labels[i, takes_part].tolist(), 0.4
        )
        expected = [takes_part[j] for j in kept][:15]
        assert found.counts[i] == len(expected)
        assert torch.equal(found.boxes[i, : len(expected)], boxes[i, expected])
        assert torch.equal(found.scores[i, : len(expected)], scores[i, expected])
        assert torch.equal(found.labels[i, : len(expected)], labels[i, expected])


def test_the_answer_is_padded_to_its_fixed_size(way: str) -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 4], [5, 5, 9, 9]], [[0, 0, 4, 4], [5, 5, 9, 9], [0, 5, 4, 9]]])
    scores = torch.tensor([[0.9, 0.8, 0.7], [0.2, 0.3, 0.4]])
    labels = torch.tensor([[2, 2, 1], [0, 1, 2]])
    found = multiclass_nms(boxes, scores, labels, 0.5, 5)
    assert found.counts.tolist() == [2, 3]
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.7, 0, 0, 0])
    assert found.labels.tolist() == [[2, 1, -1, -1, -1], [2, 1, 0, -1, -1]]
    assert found.boxes[0, 2:].abs().sum() == 0
    cut = multiclass_nms(boxes, scores, labels, 0.5, 1)
    assert cut.labels.tolist() == [[2], [2]]
    assert cut.counts.tolist() == [1, 1]


def test_scores_that_are_not_positive_neither_win_nor_suppress(way: str) -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4]] * 4])
    scores = torch.tensor([[float("nan"), 0.0, -1.0, 0.3]])
    survivors = keep_best(boxes, scores, torch.zeros(1, 4, dtype=torch.int64), 0.5)
    assert survivors[0].tolist() == pytest.approx([0, 0, 0, 0.3])


def test_boxes_without_a_position_do_no_harm_to_the_others() -> None:
    """A network that overflowed for one candidate must not switch suppression off for the rest."""
    boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 8, 8], [float("nan")] * 4, [0, 0, float("inf"), 8]]])
    found = multiclass_nms(boxes, torch.tensor([[0.9, 0.8, 0.7, 0.6]]), torch.zeros(1, 4, dtype=torch.int64), 0.5, 4)
    assert bool(torch.isfinite(found.boxes).all())
    assert found.scores[0, : found.counts[0]].tolist() == pytest.approx([0.9])


@settings(max_examples=25)
@given(oracle.box_sets(count=12, smallest=1), st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_what_survives_survives_again(boxes, ranks) -> None:
    scores, groups = torch.tensor(ranks) / 4 + 0.1, torch.arange(12) % 2
    kept = grouped_nms(boxes, scores, groups, 0.3).sort().values
    again = grouped_nms(boxes[kept], scores[kept], groups[kept], 0.3)
    assert again.sort().values.tolist() == list(range(len(kept)))
    assert scores.argmax() in kept


def test_without_nms_the_best_remain_whatever_they_overlap() -> None:
    nan = float("nan")
    boxes = torch.tensor([[[0.0, 0, 8, 8]] * 3 + [[nan] * 4, [0, 0, 4, 4]], [[1.0, 1, 2, 2]] * 5])
    scores = torch.tensor([[0.2, 0.9, 0.5, 0.8, nan], [0.0, 0.0, -1.0, 0.3, 0.0]])
    labels = torch.tensor([[0, 1, 0, 2, 2], [3, 3, 3, 4, 3]])
    found = no_nms(boxes, scores, labels, 0.1, 4)
    assert found.counts.tolist() == [3, 1]
    assert found.labels.tolist() == [[1, 0, 0, -1], [4, -1, -1, -1]]
    assert found.scores.tolist() == [pytest.approx([0.9, 0.5, 0.2, 0]), pytest.approx([0.3, 0, 0, 0])]
    assert found.boxes[0, :3].tolist() == [[0, 0, 8, 8]] * 3
    assert found.boxes[0, 3].abs().sum() == 0
    assert no_nms(boxes, scores, labels, 0.1, 1).labels.tolist() == [[1], [4]]
    assert no_nms(boxes, scores, labels, 0.1, 9).boxes.shape == (2, 9, 4)
