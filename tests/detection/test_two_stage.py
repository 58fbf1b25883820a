"""What second stages share, against slow loops: which RoIs train, their losses, their candidates."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from baimu.detection.faster_rcnn import FasterRCNNOutput, decode_rois
from baimu.detection.rpn import Proposals
from baimu.detection.two_stage import RoIs, box_losses, class_candidates, sample_rois
from baimu.losses.boxes import l1_loss
from baimu.ops.boxes import box_iou, encode_deltas
from baimu.sample.random import sample_all
from baimu.targets import Targets

STDS = (0.1, 0.1, 0.2, 0.2)
CLASSES = 3


def targets() -> Targets:
    """Two objects in one place, a third; and an image with one object."""
    boxes = [torch.tensor([[10.0, 10, 50, 50], [10, 10, 50, 50], [60, 5, 90, 60]]), torch.tensor([[5.0, 20, 45, 61]])]
    return Targets.collate(boxes, [torch.tensor([0, 2, 1]), torch.tensor([2])], [(64, 96), (64, 96)])


def proposals(count: int = 40, seed: int = 0) -> Proposals:
    """Around the objects and elsewhere; the last five of the second image hold nothing."""
    random = torch.Generator().manual_seed(seed)
    near = targets().boxes[:, torch.arange(count) % 3] + 8 * torch.randn(2, count, 4, generator=random)
    corner = torch.rand(2, count, 2, generator=random) * torch.tensor([60.0, 40.0])
    far = torch.cat([corner, corner + 5 + 20 * torch.rand(2, count, 2, generator=random)], 2)
    box = torch.where(torch.arange(count)[:, None] % 2 == 0, near, far)
    box = torch.cat([box[..., :2].minimum(box[..., 2:]), box[..., 2:].maximum(box[..., :2]) + 1], 2)
    valid = torch.ones(2, count, dtype=torch.bool)
    valid[1, -5:] = False
    return Proposals(box.masked_fill(~valid[..., None], 0), valid)


def test_rois_are_the_objects_and_the_proposals_by_their_best_overlap() -> None:
    given, first = targets(), proposals()
    rois = sample_rois(first, given, sample_all, 0.5)
    assert rois.boxes.shape == (2, 3 + 40, 4)
    for i, objects in enumerate((3, 1)):
        assert rois.own[i].tolist() == [True] * 3 + [False] * 40
        assert torch.equal(rois.boxes[i, :3], given.boxes[i])
        assert rois.valid[i, :3].tolist() == [m < objects for m in range(3)]
        assert rois.owner[i, :objects].tolist() == list(range(objects)), "each its own, whoever else is there"
        assert torch.equal(rois.valid[i, 3:], first.valid[i])
        overlap = box_iou(first.boxes[i], given.boxes[i, :objects])
        for place in range(40):
            best, owner = overlap[place].max(0)
            assert rois.positive[i, 3 + place] == (best >= 0.5)
            if best >= 0.5:
                assert rois.owner[i, 3 + place] == owner
    assert rois.positive[:, 3:].sum() > 5
    assert not (rois.positive & ~rois.valid).any()


def test_low_quality_gives_an_object_its_best_proposal_even_from_another() -> None:
    """A proposal of IoU 0.68 and 0.58 with two objects goes to the second one, which has no better."""
    objects = torch.tensor([[0.0, 0, 40, 40], [10, 0, 50, 40]])
    given = Targets.collate([objects], [torch.tensor([0, 1])], [(64, 64)])
    between = Proposals(torch.tensor([[[4.0, 0, 44, 40], [0, 0, 40, 40]]]), torch.ones(1, 2, dtype=torch.bool))
    plain = sample_rois(between, given, sample_all, 0.5)
    assert plain.owner[0, 2:].tolist() == [0, 0]
    assert plain.positive[0, 2:].all()
    generous = sample_rois(between, given, sample_all, 0.5, "object")
    assert generous.owner[0, 2:].tolist() == [1, 0]
    strict = sample_rois(between, given, sample_all, 0.95, "object")
    assert strict.positive[0, 2:].tolist() == [False, True], "never one below the threshold"


def slow_losses(logits: Tensor, deltas: Tensor, rois: RoIs, given: Targets) -> tuple[float, float]:
    cls, box, count = 0.0, 0.0, 0
    for i, place in rois.valid.nonzero().tolist():
        count += 1
        owner = int(rois.owner[i, place])
        found = bool(rois.positive[i, place])
        label = int(given.labels[i, owner]) if found else CLASSES
        cls -= logits[i, place].log_softmax(0)[label].item()
        if found:
            wanted = encode_deltas(rois.boxes[i, place], given.boxes[i, owner], STDS)
            said = deltas[i, place, label if deltas.shape[2] > 1 else 0]
            box += (said - wanted).abs().sum().item()
    return cls / count, box / count


def test_losses_equal_a_loop_over_rois() -> None:
    given, random = targets(), torch.Generator().manual_seed(1)
    rois = sample_rois(proposals(), given, sample_all, 0.5)
    logits = torch.randn(2, 43, CLASSES + 1, generator=random)
    for boxes in (CLASSES, 1):  # a box a class, or one for all
        deltas = torch.randn(2, 43, boxes, 4, generator=random)
        cls, box = box_losses(logits, deltas, rois, given, STDS, l1_loss)
        expected = slow_losses(logits, deltas, rois, given)
        torch.testing.assert_close(torch.stack([cls, box]), torch.tensor(expected))


def test_candidates_are_every_pair_and_low_scores_are_none() -> None:
    sizes = torch.tensor([[64, 96], [30, 40]])
    scores = torch.tensor([[[0.9, 0.05, 0.2], [0.051, 0.6, 0.0]]]).repeat(2, 1, 1)
    for boxes in (CLASSES, 1):
        box = torch.tensor([4.0, 6, 50, 34]) + torch.arange(2.0 * boxes).reshape(1, 2, boxes, 1).repeat(2, 1, 1, 1)
        found = class_candidates(scores, box, 0.05, sizes)
        assert found.scores.shape == (2, 6)
        assert found.labels.tolist() == [[0, 1, 2, 0, 1, 2]] * 2
        torch.testing.assert_close(found.scores[0], torch.tensor([0.9, 0, 0.2, 0.051, 0.6, 0]))
        assert torch.equal(found.boxes[0, 4], box[0, 1, min(1, boxes - 1)])
        assert found.boxes[1].amax(0).tolist() == [4.0 + 2 * boxes - 1, 6.0 + 2 * boxes - 1, 40, 30], "clipped"


def test_scores_are_shares_of_all_classes_and_background() -> None:
    """By numbers: e^logit over the sum of all four, background's left away, and nothing for a place that is empty; the
    box of each class moves by a tenth of its proposal's size a unit, and grows by e^0.2 a unit."""
    given, random = proposals(), torch.Generator().manual_seed(2)
    given = given._replace(boxes=given.boxes + 200)  # far from the borders, where nothing is clipped
    logits = torch.randn(2, 40, CLASSES + 1, generator=random)
    deltas = torch.randn(2, 40, CLASSES, 4, generator=random)
    found = decode_rois(FasterRCNNOutput([], [], [], given, logits, deltas), 0.2, torch.tensor([[500, 500]] * 2))
    for i in range(2):
        for n, (roi, row) in enumerate(zip(given.boxes[i].tolist(), logits[i].tolist(), strict=True)):
            total = sum(map(math.exp, row))
            width, height = roi[2] - roi[0], roi[3] - roi[1]
            for k in range(CLASSES):
                share = math.exp(row[k]) / total
                wanted = share if share > 0.2 and bool(given.valid[i, n]) else 0.0
                dx, dy, dw, dh = deltas[i, n, k].tolist()
                x, y = roi[0] + width * (0.5 + dx / 10), roi[1] + height * (0.5 + dy / 10)
                half = width * math.exp(dw / 5) / 2, height * math.exp(dh / 5) / 2
                box = [x - half[0], y - half[1], x + half[0], y + half[1]]
                torch.testing.assert_close(found.scores[i, n * CLASSES + k], torch.tensor(wanted))
                torch.testing.assert_close(found.boxes[i, n * CLASSES + k], torch.tensor(box), atol=1e-3, rtol=1e-4)
