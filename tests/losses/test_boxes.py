"""Box losses: golden values, torchvision's values and gradients, half precision, no boxes."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision

from baimu.losses.boxes import ciou_loss, diou_loss, giou_loss, iou_loss, l1_loss, linear_iou_loss, smooth_l1_loss
from tests.ops import oracle
from tests.ops.test_boxes import PREDICTED, TRUE

OVERLAPS = (iou_loss, linear_iou_loss, giou_loss, diou_loss, ciou_loss)


@pytest.mark.parametrize(
    ("loss", "golden"),
    [
        (iou_loss, (math.log(3), -math.log(1e-6), 0, -math.log(0.4))),
        (linear_iou_loss, (2 / 3, 1, 0, 0.6)),
        (giou_loss, (0.7666667, 1.68, 0, 0.6)),
        (diou_loss, (0.6910569, 1.36, 0, 0.645)),
        (ciou_loss, (0.6935411, 1.36, 0, 0.6516239)),
    ],
)
def test_golden_values_of_overlap_losses(loss, golden) -> None:
    assert loss(PREDICTED, TRUE).tolist() == pytest.approx(golden, abs=2e-6)


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (giou_loss, torchvision.ops.generalized_box_iou_loss),
        (diou_loss, torchvision.ops.distance_box_iou_loss),
        (ciou_loss, torchvision.ops.complete_box_iou_loss),
    ],
)
def test_overlap_losses_equal_torchvision(loss, theirs) -> None:
    a = (oracle.random_boxes(200, 60, seed=0, smallest=3) + 0.3).requires_grad_()
    b = oracle.random_boxes(200, 60, seed=1, smallest=3)
    torch.testing.assert_close(loss(a, b), theirs(a, b), atol=1e-6, rtol=1e-5)
    (slope,) = torch.autograd.grad(loss(a, b).sum(), a)
    (expected,) = torch.autograd.grad(theirs(a, b).sum(), a)
    torch.testing.assert_close(slope, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("beta", "golden"),
    [(1.0, (0.005, 0.125, 0.5, 1.5)), (1 / 9, (0.045, 0.4444444, 0.9444444, 1.9444444)), (0.0, (0.1, 0.5, 1, 2))],
)
def test_golden_values_of_smooth_l1(beta: float, golden) -> None:
    d = torch.tensor([0.1, 0.5, 1, 2])
    assert smooth_l1_loss(d, torch.zeros(4), beta).tolist() == pytest.approx(golden, abs=1e-6)
    assert smooth_l1_loss(-d, torch.zeros(4), beta).tolist() == pytest.approx(golden, abs=1e-6)
    assert l1_loss(-d, torch.zeros(4)).tolist() == pytest.approx([0.1, 0.5, 1, 2])


def test_smooth_l1_is_continuous_with_its_slope() -> None:
    for beta in (1.0, 1 / 9):
        d = torch.tensor([beta * (1 - 1e-4), beta * (1 + 1e-4)], requires_grad=True)
        loss = smooth_l1_loss(d, torch.zeros(2), beta)
        loss.sum().backward()
        assert loss[0].item() == pytest.approx(beta / 2, rel=1e-3)
        assert loss[1].item() == pytest.approx(beta / 2, rel=1e-3)
        assert d.grad.tolist() == pytest.approx([1, 1], abs=1e-3)


@pytest.mark.parametrize("loss", [*OVERLAPS, l1_loss, smooth_l1_loss])
def test_half_precision_and_no_boxes(loss) -> None:
    a, b = PREDICTED.bfloat16().requires_grad_(), TRUE.bfloat16()
    found = loss(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(a.float(), b.float()))
    found.sum().backward()
    assert bool(torch.isfinite(a.grad).all())
    empty = torch.zeros(0, 4, requires_grad=True)
    loss(empty, torch.zeros(0, 4)).sum().backward()
    assert empty.grad.shape == (0, 4)


@pytest.mark.parametrize("loss", [giou_loss, diou_loss, ciou_loss])
def test_descending_the_loss_finds_the_box(loss) -> None:
    """From a box that does not even touch it."""
    box, true = torch.tensor([[20.0, 22, 30, 28]], requires_grad=True), torch.tensor([[4.0, 4, 16, 12]])
    descent = torch.optim.Adam([box], lr=0.5)
    rate = torch.optim.lr_scheduler.LinearLR(descent, 1.0, 0.02, 250)
    for _ in range(250):
        descent.zero_grad()
        loss(box, true).sum().backward()
        descent.step()
        rate.step()
    assert oracle.iou(box[0].tolist(), true[0].tolist()) > 0.95
