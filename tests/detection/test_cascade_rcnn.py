"""The cascade, against a loop over images, stages and boxes; what passes between the stages and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baimu.detection.cascade_rcnn import (
    STAGES,
    CascadeHead,
    cascade_head,
    mean_logit,
    mean_probability,
    refine,
)
from baimu.detection.faster_rcnn import BoxHead
from baimu.detection.rpn import Proposals
from baimu.losses.boxes import smooth_l1_loss
from baimu.ops.boxes import box_iou, clip_boxes, decode_deltas, encode_deltas
from baimu.sample.random import sample_all
from baimu.targets import Targets
from tests.detection.test_two_stage import CLASSES, proposals, targets

CHANNELS = 2


def pool(boxes: Tensor) -> Tensor:
    """Features that tell where the box is."""
    scale = torch.arange(1, CHANNELS * 49 + 1).reshape(CHANNELS, 7, 7) / 3000
    return torch.sin(boxes.sum(-1)[..., None, None, None] * scale) + boxes[..., :1, None, None] / 100


def heads() -> CascadeHead:
    torch.manual_seed(0)
    made = cascade_head(CHANNELS, CLASSES, hidden=16)
    for head in made:
        assert isinstance(head, BoxHead)
        nn.init.normal_(head.classify.weight, std=0.5)
        nn.init.normal_(head.regress.weight, std=0.2)
    return made


def slow_losses(head: CascadeHead, first: Proposals, given: Targets) -> dict[str, float]:
    """As the paper's Fig. 3d reads: of one image after the other, with lists that hold real boxes only."""
    boxes = [first.boxes[i, first.valid[i]] for i in range(2)]
    losses = {}
    for t, stage in enumerate(STAGES):
        cls, box, count = 0.0, 0.0, 0
        for i, objects in enumerate((3, 1)):
            truth, labels = given.boxes[i, :objects], given.labels[i, :objects]
            rois = torch.cat([truth, boxes[i]])
            logits, deltas = head[t](pool(rois[None]))
            logits, deltas = logits[0], deltas[0, :, 0]
            count += len(rois)
            refined = []
            for r, roi in enumerate(rois):
                best, owner = (1.0, r) if r < objects else (x.item() for x in box_iou(roi[None], truth)[0].max(0))
                found = best >= stage.iou_threshold
                cls -= logits[r].log_softmax(0)[labels[int(owner)] if found else CLASSES].item()
                if found:
                    wanted = encode_deltas(roi, truth[int(owner)], stage.stds)
                    box += smooth_l1_loss(deltas[r], wanted).sum().item()
                if r >= objects:
                    refined.append(decode_deltas(roi, deltas[r], stage.stds))
            boxes[i] = clip_boxes(torch.stack(refined)[None], given.sizes[i : i + 1])[0]
        losses |= {f"cls{t + 1}": stage.weight * cls / count, f"box{t + 1}": stage.weight * box / count}
    return losses


@torch.no_grad()
def test_losses_equal_a_loop_over_images_stages_and_boxes() -> None:
    losses, _ = heads().losses(pool, proposals(), targets(), sample_all, smooth_l1_loss)
    expected = slow_losses(heads(), proposals(), targets())
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-4), name
        assert loss > 0


@torch.no_grad()
def test_an_objects_own_box_is_not_refined_but_joins_each_stage_anew() -> None:
    _, rois_of = heads().losses(pool, proposals(), targets(), sample_all, smooth_l1_loss)
    for rois in rois_of:
        assert (rois.own & rois.valid).sum(1).tolist() == [3, 1]
        assert (rois.valid & ~rois.own).sum(1).tolist() == [40, 35], "no proposal is lost or doubled"


@torch.no_grad()
def test_boxes_that_need_no_change_stay_through_all_stages() -> None:
    head = heads()
    for one in head:
        assert isinstance(one, BoxHead)
        nn.init.zeros_(one.regress.weight)
    first = proposals()
    boxes, logits, _ = head(pool, first.boxes, targets().sizes)
    assert len(boxes) == len(logits) + 1 == len(STAGES) + 1
    for later in boxes[1:]:
        torch.testing.assert_close(later, clip_boxes(first.boxes, targets().sizes), atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_each_stage_moves_its_boxes_by_its_own_deviations() -> None:
    boxes, _, deltas = heads()(pool, proposals().boxes, targets().sizes)
    for t, stage in enumerate(STAGES):
        moved = decode_deltas(boxes[t], deltas[t][:, :, 0], stage.stds)
        torch.testing.assert_close(boxes[t + 1], clip_boxes(moved, targets().sizes))


def test_no_gradient_passes_to_the_stage_before() -> None:
    head = heads()
    losses, _ = head.losses(pool, proposals(), targets(), sample_all, smooth_l1_loss)
    (losses["cls3"] + losses["box3"]).backward()
    assert all(p.grad is None for one in list(head)[:2] for p in one.parameters())
    assert all(p.grad is not None and p.grad.any() for p in head[2].parameters())


def test_averages_of_stages_by_their_formulas() -> None:
    logits = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    exponents = (logits.sum(0) / 3).exp()
    torch.testing.assert_close(mean_logit(logits), exponents / exponents.sum(-1, keepdim=True))
    each = logits.exp() / logits.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(mean_probability(logits), (each[0] + each[1] + each[2]) / 3)
    for average in (mean_logit, mean_probability):
        assert_distribution(average, logits)
        torch.testing.assert_close(average(logits[:1].repeat(3, 1, 1, 1)), logits[0].softmax(-1))


def assert_distribution(average: Callable[[Tensor], Tensor], logits: Tensor) -> None:
    torch.testing.assert_close(average(logits).sum(-1), torch.ones(2, 5))


def test_a_box_that_is_not_a_number_becomes_nothing() -> None:
    boxes = torch.tensor([[[1.0, 2, 30, 40]]])
    sizes = torch.tensor([[64, 64]])
    assert refine(boxes, torch.full((1, 1, 1, 4), float("nan")), STAGES[0].stds, sizes).tolist() == [[[0.0] * 4]]
    far = refine(boxes, torch.full((1, 1, 1, 4), float("inf")), STAGES[0].stds, sizes)
    assert bool(((far >= 0) & (far <= 64)).all())


def test_heads_and_stages_are_as_many() -> None:
    with pytest.raises(ValueError, match="one head a stage: 2 heads for 3 stages"):
        CascadeHead([nn.Identity(), nn.Identity()])
