"""The mask branch, against slow loops: what it learns from, and which of its answers count."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from baimu.detection.rpn import Proposals
from baimu.detection.two_stage import sample_rois
from baimu.errors import DataError
from baimu.instance_segmentation.mask_rcnn import MaskHead, mask_loss, predict_masks, soft_mask_targets
from baimu.ops.masks import roi_mask_targets
from baimu.ops.nms import Detected
from baimu.sample.random import sample_all
from baimu.targets import Targets
from tests.detection.test_two_stage import CLASSES, proposals
from tests.detection.test_two_stage import targets as box_targets

CHANNELS, HEIGHT, WIDTH = 4, 64, 96


def targets() -> Targets:
    """With the ellipse in each box."""
    given = box_targets()
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    masks = []
    for boxes, count in zip(given.boxes, (3, 1), strict=True):
        x1, y1, x2, y2 = boxes[:count, :, None, None].unbind(1)
        masks.append(((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1)
    return Targets(given.boxes, given.labels, given.sizes, masks)


def pool(boxes: Tensor) -> Tensor:
    """Features that tell where the box is."""
    scale = torch.arange(1, CHANNELS * 196 + 1).reshape(CHANNELS, 14, 14) / 3000
    return torch.sin(boxes.sum(-1)[..., None, None, None] * scale)


def head(seed: int = 0) -> MaskHead:
    torch.manual_seed(seed)
    made = MaskHead(CHANNELS, CLASSES)
    nn.init.normal_(made.predict.weight)
    return made


def test_the_head_doubles_the_grid_with_a_mask_a_class_and_starts_as_published() -> None:
    made = MaskHead(64, 5)
    assert made(torch.randn(3, 64, 14, 14)).shape == (3, 5, 28, 28)
    assert len(made.tower) == 4
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            fan_out = layer.weight.shape[0] * layer.weight[0, 0].numel()
            expected = 0.001 if layer is made.predict else (2 / fan_out) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
            assert layer.bias is not None
            assert not layer.bias.any()


@torch.no_grad()
def test_the_loss_equals_a_loop_over_positive_rois() -> None:
    given = targets()
    rois = sample_rois(proposals(), given, sample_all, 0.5)
    assert given.masks is not None
    values = []
    for i, place in rois.positive.nonzero().tolist():
        owner = int(rois.owner[i, place])
        box = rois.boxes[i, place]
        logits = head()(pool(box[None, None])[0])[0, given.labels[i, owner]]
        wanted = roi_mask_targets([given.masks[i]], box[None], torch.tensor([owner]), torch.tensor([0]))[0]
        p = logits.sigmoid()
        values.append(-(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean())
    assert len(values) > 10
    loss = mask_loss(head(), pool, rois, given)
    torch.testing.assert_close(loss, torch.stack(values).mean())


def test_only_the_true_class_learns() -> None:
    """Masks do not compete (§3): an image of one class leaves the other classes' masks as they are."""
    boxes = torch.tensor([[10.0, 10, 50, 50]])
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[0, 15:45, 15:45] = True
    given = Targets.collate([boxes], [torch.tensor([1])], [(HEIGHT, WIDTH)], [mask])
    made = head()
    first = Proposals(*(x[:1] for x in proposals()))
    mask_loss(made, pool, sample_rois(first, given, sample_all, 0.5), given).backward()
    assert made.predict.weight.grad is not None
    assert [bool(g.any()) for g in made.predict.weight.grad] == [False, True, False]


def test_without_a_positive_the_loss_is_nothing_but_reaches_every_parameter() -> None:
    empty = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, HEIGHT, WIDTH, dtype=torch.bool)
    given = Targets.collate([empty[0]] * 2, [empty[1]] * 2, [(HEIGHT, WIDTH)] * 2, [empty[2]] * 2)
    made = head()
    loss = mask_loss(made, pool, sample_rois(proposals(), given, sample_all, 0.5), given)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in made.parameters())


def test_objects_without_masks_are_refused_with_what_to_do() -> None:
    given = box_targets()
    with pytest.raises(DataError, match="give data with polygons or run lengths"):
        mask_loss(head(), pool, sample_rois(proposals(), given, sample_all, 0.5), given)


def found() -> Detected:
    """Two detections and one, padded to four."""
    labels = torch.tensor([[2, 0, -1, -1], [1, -1, -1, -1]])
    boxes = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0)) * 30 + torch.tensor([0.0, 0, 30, 30])
    valid = labels >= 0
    return Detected(boxes * valid[..., None], valid * 0.5, labels, valid.sum(1))


@torch.no_grad()
def test_masks_are_of_the_detected_class_the_mean_of_all_heads() -> None:
    heads = [head(0), head(1)]
    masks = predict_masks(heads, pool, found()).masks
    assert masks is not None
    for i, place, label in ((0, 0, 2), (0, 1, 0), (1, 0, 1)):
        features = pool(found().boxes[i : i + 1, place : place + 1])[0]
        each = [one(features)[0, label].sigmoid() for one in heads]
        torch.testing.assert_close(masks[i, place], (each[0] + each[1]) / 2)
    assert not masks[0, 2:].any()
    assert not masks[1, 1:].any()
    assert masks.shape == (2, 4, 28, 28)


@torch.no_grad()
def test_no_detection_has_no_mask() -> None:
    nothing = Detected(*(torch.zeros_like(x) for x in found()[:2]), torch.full((2, 4), -1), torch.zeros(2).long())
    masks = predict_masks([head()], pool, nothing).masks
    assert masks is not None
    assert masks.shape == (2, 4, 28, 28)
    assert not masks.any()


def test_soft_targets_equal_torchvision() -> None:
    given = targets()
    rois = sample_rois(proposals(), given, sample_all, 0.5)
    image, place = rois.positive.nonzero(as_tuple=True)
    boxes, owner = rois.boxes[image, place], rois.owner[image, place]
    assert given.masks is not None
    mine = soft_mask_targets(given.masks, boxes, owner, image, 28)
    theirs = [
        project_masks_on_boxes(given.masks[i].float(), boxes[image == i], owner[image == i], 28) for i in range(2)
    ]
    torch.testing.assert_close(mine, torch.cat(theirs))
    cut = roi_mask_targets(given.masks, boxes, owner, image)
    assert 0 < F.l1_loss(mine, cut) < 0.1, "alike, but for the border"
