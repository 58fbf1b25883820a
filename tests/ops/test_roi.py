"""RoI align as one gather against torchvision's kernel, forward and backward, and on maps whose answer is known."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor

from baimu.ops import roi
from baimu.ops.roi import roi_align, roi_levels

STRIDES = (4, 8, 16)
HEIGHT, WIDTH = 64, 96


def pyramid(*, channels: int = 5, requires_grad: bool = False) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, channels, HEIGHT // s, WIDTH // s, generator=random) for s in STRIDES]
    return [m.requires_grad_(requires_grad) for m in maps]


def rois() -> Tensor:
    """(2, R, 4): ordinary ones, and every kind that trips a kernel."""
    random = torch.Generator().manual_seed(1)
    corner = torch.rand(2, 9, 2, generator=random) * torch.tensor([WIDTH - 10.0, HEIGHT - 10.0])
    usual = torch.cat([corner, corner + 2 + torch.rand(2, 9, 2, generator=random) * 60], -1)
    odd = torch.tensor(
        [
            [0.0, 0, WIDTH, HEIGHT],  # the whole image
            [0, 0, 0, 0],  # padding
            [20, 20, 20, 40],  # no width
            [30, 20, 10, 40],  # inverted
            [-50, -40, -10, -9],  # wholly outside
            [-20, -30, 25, 33],  # partly outside
            [70, 50, 300, 280],  # beyond the other corner
            [33.3, 21.7, 34.1, 22.2],  # smaller than a cell
            [-400, -300, 500, 420],  # far larger than the image
        ]
    )
    return torch.cat([usual, odd.expand(2, -1, -1)], 1)


def one_by_one(features: list[Tensor], boxes: Tensor, levels: Tensor, size: int, ratio: int, aligned: bool) -> Tensor:
    """torchvision's kernel on each RoI alone."""
    rows = []
    for i in range(boxes.shape[0]):
        for box, level in zip(boxes[i], levels[i].tolist(), strict=True):
            feature, scale = features[level][i : i + 1], 1 / STRIDES[level]
            rows.append(torchvision.ops.roi_align(feature, [box[None]], size, scale, ratio, aligned))
    return torch.cat(rows).unflatten(0, boxes.shape[:2])


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 7])
def test_it_equals_torchvision_forward_and_backward(aligned: bool, ratio: int, size: int) -> None:
    features, boxes = pyramid(requires_grad=True), rois()
    if ratio == 0:  # torchvision's kernel cannot allocate a negative number of points
        boxes = boxes[:, (boxes[0, :, 2:] >= boxes[0, :, :2]).all(1)]
    levels = torch.arange(boxes.shape[1]).expand(2, -1) % 3
    expected = one_by_one(features, boxes, levels, size, ratio, aligned)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    slopes = torch.autograd.grad((expected * weight).sum(), features)
    for align in (roi._roi_align_by_gather, roi._roi_align_by_level):  # a CPU's way and a GPU's
        found = align(features, boxes, levels, STRIDES, size, ratio, aligned)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
        for ours, theirs in zip(torch.autograd.grad((found * weight).sum(), features), slopes, strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)


def test_channels_last_maps_and_bfloat16_give_the_same() -> None:
    features, boxes = pyramid(), rois()
    levels = roi_levels(boxes, 3)
    expected = roi_align(features, boxes, levels, STRIDES, 7)
    last = [f.to(memory_format=torch.channels_last) for f in features]
    assert torch.equal(roi_align(last, boxes, levels, STRIDES, 7), expected)
    half = roi_align([f.bfloat16() for f in features], boxes, levels, STRIDES, 7)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0.05)


def test_a_ramp_gives_the_coordinates_of_the_bins() -> None:
    """Cell i lies over pixels [i, i + 1] * stride, so that x pixels are worth x / stride - 0.5 cells."""
    ramp = torch.arange(24.0).expand(1, 1, 16, 24)
    box = torch.tensor([[[12.0, 8, 68, 50]]])
    for ratio in (0, 2):
        pooled = roi_align([ramp], box, torch.zeros(1, 1, dtype=torch.int64), (4,), 7, ratio)
        centres = 12 + (torch.arange(7) + 0.5) * 8
        torch.testing.assert_close(pooled[0, 0, 0, 0], centres / 4 - 0.5)
    unshifted = roi_align([ramp], box, torch.zeros(1, 1, dtype=torch.int64), (4,), 7, 2, aligned=False)
    torch.testing.assert_close(unshifted[0, 0, 0, 0], centres / 4)


def test_no_rois_and_only_empty_ones() -> None:
    features = pyramid(requires_grad=True)
    inverted = torch.tensor([[[30.0, 20, 10, 40]]]).expand(2, -1, -1)
    assert roi_align(features, inverted, torch.zeros(2, 1, dtype=torch.int64), STRIDES, 7).abs().sum() == 0
    none = roi_align(features, torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), STRIDES, 7)
    assert none.shape == (2, 0, 5, 7, 7)
    empty = roi_align(features, torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64), STRIDES, 7)
    assert empty.abs().sum() == 0
    (none.sum() + empty.sum()).backward()
    assert features[0].grad.abs().sum() == 0


def test_levels_change_exactly_at_powers_of_two_of_56_pixels() -> None:
    sides = torch.tensor([0.0, 1, 55.9, 56, 111.9, 112, 223.9, 224, 447.9, 448, 9999])
    boxes = torch.stack([torch.zeros(11), torch.zeros(11), sides, sides], 1)
    assert roi_levels(boxes, 4).tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert roi_levels(boxes, 2).max() == 1
    flat = torch.tensor([[0.0, 0, 28, 448], [5, 5, 1, 9]])
    assert roi_levels(flat, 4).tolist() == [1, 0], "by area; an inverted box has none"
