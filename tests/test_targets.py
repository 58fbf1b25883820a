"""Targets and batches: padding that can be told from objects, images without any, masks that stay per image."""

from __future__ import annotations

import torch

from baimu.targets import Batch, Targets


def test_collate_pads_with_label_minus_one_and_box_zero() -> None:
    boxes = [torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), torch.zeros(0, 4), torch.tensor([[9.0, 9, 12, 12]])]
    labels = [torch.tensor([3, 0]), torch.zeros(0, dtype=torch.int64), torch.tensor([1])]
    targets = Targets.collate(boxes, labels, [(10, 20), (30, 40), (50, 60)])
    assert targets.labels.tolist() == [[3, 0], [-1, -1], [1, -1]]
    assert targets.valid.tolist() == [[True, True], [False, False], [True, False]]
    assert torch.equal(targets.boxes[0], boxes[0])
    assert targets.boxes[~targets.valid].abs().sum() == 0
    assert targets.sizes.tolist() == [[10, 20], [30, 40], [50, 60]]


def test_a_batch_without_any_object_still_has_one_place() -> None:
    empty = [torch.zeros(0, 4)] * 2
    targets = Targets.collate(empty, [torch.zeros(0, dtype=torch.int64)] * 2, [(8, 8)] * 2)
    assert targets.boxes.shape == (2, 1, 4)
    assert not targets.valid.any()


def test_everything_moves_to_the_device() -> None:
    masks = [torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(0, 4, 4, dtype=torch.bool)]
    targets = Targets.collate(
        [torch.ones(1, 4), torch.zeros(0, 4)],
        [torch.tensor([0]), torch.zeros(0, dtype=torch.int64)],
        [(4, 4)] * 2,
        masks,
    )
    batch = Batch(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), targets, [], ["a", "b"], [0, 1]).to("meta")
    assert len(batch) == 2
    assert batch.targets.masks is not None
    moved = (batch.inputs, batch.targets.boxes, batch.targets.labels, batch.targets.sizes, *batch.targets.masks)
    assert all(x.is_meta for x in moved)
    assert (batch.names, batch.indices) == (["a", "b"], [0, 1])
