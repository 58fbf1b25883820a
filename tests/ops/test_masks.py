"""Bounds and overlap of masks, pixel by pixel."""

from __future__ import annotations

import torch

from baimu.ops.masks import mask_iou, masks_to_boxes


def random_masks(count: int, seed: int) -> torch.Tensor:
    masks = torch.rand(count, 9, 13, generator=torch.Generator().manual_seed(seed)) > 0.9
    masks[0] = False
    masks[1] = True
    return masks


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
