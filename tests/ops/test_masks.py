"""Masks pixel by pixel: bounds, overlap, pasting and the targets of RoIs, against loops written from the definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baimu.ops import masks as room
from baimu.ops.masks import mask_iou, masks_to_boxes, paste_masks, roi_mask_targets

HEIGHT, WIDTH = 23, 31
BOXES = [
    [3.2, 4.1, 20.7, 17.9],
    [0.0, 0.0, 31.0, 23.0],  # the whole image
    [10.0, 10.0, 11.0, 11.0],  # one pixel
    [10.3, 10.4, 10.6, 10.9],  # less than a pixel, around no pixel's centre in x
    [-9.0, -7.5, 8.0, 6.0],  # beyond two sides
    [-20.0, -20.0, 60.0, 50.0],  # beyond all
    [-30.0, 2.0, -10.0, 12.0],  # outside
    [40.0, 30.0, 55.0, 44.0],
    [5.0, 5.0, 5.0, 15.0],  # no width
    [0.0, 0.0, 0.0, 0.0],  # padding
    [8.0, 9.0, 4.0, 12.0],  # inverted
]


def random_masks(count: int, seed: int) -> Tensor:
    masks = torch.rand(count, 9, 13, generator=torch.Generator().manual_seed(seed)) > 0.9
    masks[0] = False
    masks[1] = True
    return masks


def blobs(count: int, cells: int, seed: int) -> Tensor:
    """Smooth probabilities that cross every threshold, with empty and full ones among them."""
    noise = torch.randn(count, 1, cells, cells, generator=torch.Generator().manual_seed(seed))
    masks = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)[:, 0].mul(3).sigmoid()
    masks[0], masks[-1] = 1, 0
    return masks


def bilinear(mask: list[list[float]], y: float, x: float) -> float:
    """The mask between the centres of its cells, zero around them."""
    value = 0.0
    for j in (math.floor(y), math.floor(y) + 1):
        for i in (math.floor(x), math.floor(x) + 1):
            if 0 <= j < len(mask) and 0 <= i < len(mask[0]):
                value += mask[j][i] * (1 - abs(y - j)) * (1 - abs(x - i))
    return value


def pasted_by_loops(mask: Tensor, box: list[float]) -> Tensor:
    """(H, W) values at the pixels' centres."""
    values = torch.zeros(HEIGHT, WIDTH, dtype=torch.float64)
    x1, y1, x2, y2 = box
    cells, table = len(mask), mask.double().tolist()
    for row in range(HEIGHT):
        for column in range(WIDTH):
            if x2 > x1 and y2 > y1:
                y = (row + 0.5 - y1) / (y2 - y1) * cells - 0.5
                x = (column + 0.5 - x1) / (x2 - x1) * cells - 0.5
                values[row, column] = bilinear(table, y, x)
    return values


def mean_by_loops(mask: Tensor, box: list[float], size: int) -> Tensor:
    """(size, size) means of the mask over each cell, by RoI align's sampling points."""
    table, (height, width) = mask.double().tolist(), mask.shape
    x1, y1, x2, y2 = (side - 0.5 for side in box)
    down, across = math.ceil((y2 - y1) / size), math.ceil((x2 - x1) / size)
    means = torch.zeros(size, size, dtype=torch.float64)
    for row in range(size):
        for column in range(size):
            for j in range(down):
                for i in range(across):
                    y = y1 + (row + (j + 0.5) / down) * (y2 - y1) / size
                    x = x1 + (column + (i + 0.5) / across) * (x2 - x1) / size
                    if -1 <= y <= height and -1 <= x <= width:  # farther out there is nothing; nearer, the edge repeats
                        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                        means[row, column] += bilinear(table, y, x) / (down * across)
    return means


def test_boxes_are_the_outer_edges_of_the_pixels() -> None:
    masks = random_masks(12, seed=0)
    for mask, box in zip(masks, masks_to_boxes(masks).tolist(), strict=True):
        pixels = mask.nonzero().tolist()
        rows, columns = [y for y, _ in pixels], [x for _, x in pixels]
        expected = [min(columns), min(rows), max(columns) + 1, max(rows) + 1] if pixels else [0, 0, 0, 0]
        assert box == expected
    assert masks_to_boxes(masks[:0]).shape == (0, 4)


def test_overlap_counts_pixels() -> None:
    a, b = random_masks(6, seed=1), random_masks(5, seed=2)
    found = mask_iou(a, b)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            union = int((x | y).sum())
            expected = int((x & y).sum()) / union if union else 0.0
            assert abs(found[i, j].item() - expected) < 1e-6
    assert mask_iou(a[:0], b).shape == (0, 5)


@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("cells", [1, 7, 28])
def test_pasting_equals_loops(cells: int, threshold: float) -> None:
    masks, boxes = blobs(len(BOXES), cells, seed=cells), torch.tensor(BOXES)
    pasted = paste_masks(masks, boxes, (HEIGHT, WIDTH), threshold)
    for mask, box, found in zip(masks, boxes.tolist(), pasted, strict=True):
        values = pasted_by_loops(mask, box)
        clear = (values - threshold).abs() > 1e-5
        assert clear.float().mean() > 0.9
        assert torch.equal(found[clear], (values >= threshold)[clear])
    assert pasted[0].any()


def test_pasting_equals_grid_sample_as_mmdetection_calls_it() -> None:
    masks, boxes = blobs(7, 28, seed=3), torch.tensor(BOXES[:7])
    y, x = torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5
    y = (y - boxes[:, 1:2]) / (boxes[:, 3:4] - boxes[:, 1:2]) * 2 - 1
    x = (x - boxes[:, 0:1]) / (boxes[:, 2:3] - boxes[:, 0:1]) * 2 - 1
    grid = torch.stack([x[:, None, :].expand(-1, HEIGHT, -1), y[:, :, None].expand(-1, -1, WIDTH)], 3)
    expected = torch.nn.functional.grid_sample(masks[:, None], grid, align_corners=False)[:, 0] >= 0.5
    assert torch.equal(paste_masks(masks, boxes, (HEIGHT, WIDTH)), expected)


def test_a_full_mask_covers_its_box_and_a_half_is_enough() -> None:
    pasted = paste_masks(torch.ones(2, 4, 4), torch.tensor([[2.0, 3, 10, 11], [4, 4, 5, 5]]), (HEIGHT, WIDTH))
    for mask, (x1, y1, x2, y2) in zip(pasted, [(2, 3, 10, 11), (4, 4, 5, 5)], strict=True):
        expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        expected[y1:y2, x1:x2] = True
        assert torch.equal(mask, expected)
    assert paste_masks(torch.full((1, 4, 4), 0.5), torch.tensor([[2.0, 3, 10, 11]]), (HEIGHT, WIDTH)).sum() == 36


def test_pasting_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices other than the CPU take several objects at once; here on the CPU, with room for two."""
    masks, boxes = blobs(len(BOXES), 7, seed=4), torch.tensor(BOXES)
    expected = paste_masks(masks, boxes, (HEIGHT, WIDTH))
    monkeypatch.setattr(room, "_CHUNK", 2 * HEIGHT * WIDTH)
    monkeypatch.setattr(room, "_paste_regions", room._paste_chunks)
    assert torch.equal(paste_masks(masks, boxes, (HEIGHT, WIDTH)), expected)


def test_nothing_is_pasted_into_an_empty_batch_or_in_lower_precision() -> None:
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 6)).shape == (0, 5, 6)
    masks, boxes = blobs(6, 28, seed=5), torch.tensor(BOXES[:6])
    with torch.autocast("cpu", torch.bfloat16):
        inside = paste_masks(masks, boxes, (HEIGHT, WIDTH))
    assert torch.equal(inside, paste_masks(masks, boxes, (HEIGHT, WIDTH)))


@pytest.mark.parametrize("size", [1, 5, 14])
def test_targets_equal_loops(size: int) -> None:
    usual = [box for box in BOXES if box[2] >= box[0]]
    random = torch.Generator().manual_seed(size)
    masks = [torch.rand(n, HEIGHT, WIDTH, generator=random) > 0.5 for n in (3, 0, 2)]  # no object in the second image
    masks[0][1], masks[2][0] = False, True
    boxes = torch.tensor(usual).repeat(2, 1)
    image = torch.tensor([0, 2]).repeat_interleave(len(usual))
    owner = torch.arange(len(boxes)) % torch.tensor([3, 9, 2])[image]
    found = roi_mask_targets(masks, boxes, owner, image, size)
    assert found.dtype == torch.float32
    decided = 0
    for r, box in enumerate(boxes.tolist()):
        means = mean_by_loops(masks[int(image[r])][int(owner[r])], box, size)
        clear = (means - 0.5).abs() > 1e-5
        assert torch.equal(found[r][clear], (means >= 0.5).float()[clear])
        decided += int(clear.sum())
    assert decided > 0.8 * found.numel()
    assert 0 < found.mean() < 1


def test_a_cell_half_covered_counts() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :, 2:5] = True
    target = roi_mask_targets([mask], torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0]), torch.tensor([0]), 4)
    assert target[0].tolist() == [[0, 1, 1, 0]] * 4


def test_targets_in_chunks_and_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [random_masks(4, seed=6), random_masks(5, seed=7)]
    boxes = torch.rand(40, 2, generator=torch.Generator().manual_seed(8)).mul(6).repeat(1, 2) + torch.tensor(
        [0, 0, 5, 4]
    )
    image = torch.arange(40) % 2
    owner = torch.arange(40) % 4
    expected = roi_mask_targets(masks, boxes, owner, image, 7)
    monkeypatch.setattr(room, "_CHUNK", 3 * 9 * 13)
    assert torch.equal(roi_mask_targets(masks, boxes, owner, image, 7), expected)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert roi_mask_targets(masks, boxes[:0], nothing, nothing).shape == (0, 28, 28)
    assert roi_mask_targets([masks[0][:0]], boxes[:0], nothing, nothing).shape == (0, 28, 28)
