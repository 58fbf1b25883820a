"""The first stage: which anchors train it, and what it proposes, against slow loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baimu.assign.max_iou import max_iou_assign
from baimu.detection.rpn import RPNHead, RPNOutput, propose, rpn_loss
from baimu.losses.boxes import l1_loss
from baimu.ops.boxes import box_iou, clip_boxes, decode_deltas, encode_deltas
from baimu.ops.priors import anchor_grid, base_anchors
from baimu.sample.random import sample_all
from baimu.targets import Targets

SIZES = [(64, 96), (50, 60)]
BOXES = [torch.tensor([[3.0, 5, 40, 44], [50, 20, 95, 63]]), torch.tensor([[20.0, 8, 58, 47]])]


def targets(boxes: list[Tensor] = BOXES) -> Targets:
    return Targets.collate(boxes, [torch.zeros(len(b), dtype=torch.int64) for b in boxes], SIZES)


def outputs(seed: int = 0, spread: float = 0.3) -> RPNOutput:
    random = torch.Generator().manual_seed(seed)
    anchors = [
        anchor_grid(base_anchors(3 * stride, (1.0,), (0.5, 1.0, 2.0)), 64 // stride, 96 // stride, stride)
        for stride in (8, 16)
    ]
    logits = [torch.randn(2, len(a), generator=random) for a in anchors]
    return RPNOutput(logits, [spread * torch.randn(2, len(a), 4, generator=random) for a in anchors], anchors)


def slow_loss(first: RPNOutput, given: Targets, border: float | None) -> tuple[Tensor, Tensor]:
    """Anchors outside are thrown away before anything looks at them."""
    anchors, logits, deltas = torch.cat(first.anchors), torch.cat(first.logits, 1), torch.cat(first.deltas, 1)
    cls, box, count = torch.zeros(()), torch.zeros(()), 0
    for i in range(2):
        height, width = given.sizes[i].tolist()
        inside = torch.ones(len(anchors), dtype=torch.bool)
        if border is not None:
            x1, y1, x2, y2 = anchors.unbind(1)
            inside = (x1 >= -border) & (y1 >= -border) & (x2 < width + border) & (y2 < height + border)
        mine = anchors[inside]
        alone = Targets(given.boxes[i : i + 1], given.labels[i : i + 1], given.sizes[i : i + 1])
        assigned = max_iou_assign(mine, alone, positive=0.7, negative=0.3, low_quality="object", min_positive=0.3)[0]
        for place, owner in enumerate(assigned.tolist()):
            if owner == -2:
                continue
            count += 1
            logit = logits[i, inside][place]
            p = logit.sigmoid()
            cls = cls - (p if owner >= 0 else 1 - p).log()
            if owner >= 0:
                wanted = encode_deltas(mine[place], given.boxes[i, owner])
                box = box + (deltas[i, inside][place] - wanted).abs().sum()
    return cls / count, box / count


@pytest.mark.parametrize("border", [None, 0.0, 6.0])
def test_losses_equal_a_loop_that_leaves_out_anchors_beyond_the_border(border: float | None) -> None:
    first = outputs()
    losses = rpn_loss(first, targets(), sample_all, l1_loss, border)
    cls, box = slow_loss(first, targets(), border)
    torch.testing.assert_close(losses["rpn_cls"], cls)
    torch.testing.assert_close(losses["rpn_box"], box)
    assert box > 0


def test_a_border_changes_which_anchors_train() -> None:
    of = {border: rpn_loss(outputs(), targets(), sample_all, l1_loss, border)["rpn_cls"] for border in (None, 0.0, 6.0)}
    assert len({round(loss.item(), 6) for loss in of.values()}) == 3


def test_no_anchor_inside_gives_no_loss_and_no_error() -> None:
    """An image smaller than the smallest anchor."""
    first = RPNOutput(
        [torch.zeros(1, 3, requires_grad=True)],
        [torch.zeros(1, 3, 4, requires_grad=True)],
        [base_anchors(64, (1.0,), (0.5, 1.0, 2.0))],
    )
    small = Targets.collate([torch.tensor([[1.0, 1, 9, 9]])], [torch.tensor([0])], [(16, 16)])
    losses = rpn_loss(first, small, sample_all, l1_loss, 0.0)
    assert {name: loss.item() for name, loss in losses.items()} == {"rpn_cls": 0.0, "rpn_box": 0.0}


def test_zero_deltas_propose_the_anchors_themselves() -> None:
    first = outputs(spread=0.0)
    boxes, valid = propose(first, targets().sizes, (1000, 1000), iou_threshold=1.0)
    for i in range(2):
        anchors = clip_boxes(torch.cat(first.anchors)[None], targets().sizes[i : i + 1])[0]
        distance = (boxes[i, valid[i], None] - anchors).abs().amax(-1)
        assert distance.amin(1).max() < 1e-4, "nothing else"
        solid = (anchors[:, 2:] > anchors[:, :2]).all(1)
        assert distance.amin(0)[solid].max() < 1e-3, "and all of them that have an area"


def slow_proposals(first: RPNOutput, i: int, per_level: int, total: int) -> list[list[float]]:
    """Greedy, one by one, a level after the other."""
    kept: list[tuple[float, Tensor]] = []
    for logits, deltas, anchors in zip(*first, strict=True):
        boxes = clip_boxes(decode_deltas(anchors, deltas[i])[None], targets().sizes[i : i + 1])[0]
        level: list[Tensor] = []
        for place in logits[i].argsort(descending=True)[:per_level]:
            box = boxes[place]
            solid = bool((box[2:] > box[:2]).all())
            if solid and not any(box_iou(box[None], other[None]) > 0.7 for other in level):
                level.append(box)
                kept.append((logits[i, place].item(), box))
    return [box.tolist() for _, box in sorted(kept, key=lambda pair: -pair[0])[:total]]


def test_proposals_equal_a_greedy_loop_within_each_level() -> None:
    first, (per_level, total) = outputs(spread=0.1), (50, 30)
    boxes, valid = propose(first, targets().sizes, (per_level, total))
    assert boxes.shape == (2, total, 4)
    for i in range(2):
        expected = torch.tensor(slow_proposals(first, i, per_level, total))
        torch.testing.assert_close(boxes[i, valid[i]], expected)
    assert not boxes[~valid].any()


def test_nothing_to_propose_is_nothing_valid() -> None:
    first = outputs()
    hidden = first._replace(logits=[torch.full_like(x, float("nan")) for x in first.logits])
    boxes, valid = propose(hidden, targets().sizes, (50, 30))
    assert not valid.any()
    assert not boxes.any()


def test_the_head_gives_a_row_an_anchor_in_the_order_of_the_anchors() -> None:
    torch.manual_seed(0)
    head = RPNHead(4, 3)
    maps = [torch.randn(2, 4, 5, 6)]
    logits, deltas = head(maps)
    hidden = head.conv(maps[0])
    theirs, boxes = head.objectness(hidden), head.regress(hidden)
    row, column, anchor = 3, 2, 1
    place = (row * 6 + column) * 3 + anchor
    assert logits[0].shape == (2, 90)
    torch.testing.assert_close(logits[0][1, place], theirs[1, anchor, row, column])
    torch.testing.assert_close(deltas[0][1, place], boxes[1, 4 * anchor : 4 * anchor + 4, row, column])
