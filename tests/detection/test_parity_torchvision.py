"""The three detectors have torchvision's losses and gradients with its parameters, wherever the definitions agree.

That they have its maps, outputs and detections is shown in tests/parity. Where the losses differ (the tables at the
head of each method's file), one line of the comparison undoes it. Images have sides that are multiples of 128:
elsewhere torchvision's anchors of the coarsest maps are not ``stride`` apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.assign.max_iou import max_iou_assign
from baimu.detection.detector import Detector
from baimu.losses.boxes import giou_loss
from baimu.ops.boxes import decode_distances
from baimu.ops.nms import Detected
from baimu.sample.random import sample_all
from baimu.targets import Targets
from baimu.weights import torchvision as routes
from baimu.weights.keys import rename
from tests.parity.peers.with_torchvision import pair

CLASSES, HEIGHT, WIDTH = 5, 128, 256
BOXES = (
    [[12.0, 9, 75, 70], [100, 30, 235, 120], [60, 60, 98, 119]],
    [[20.0, 15, 150, 118], [160, 40, 208, 92]],
)
LABELS = ([0, 3, 1], [4, 2])
AS_IS = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "min_size": HEIGHT, "max_size": WIDTH}
"""torchvision's own preprocessing made to do nothing."""


def images() -> Tensor:
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def targets(*chosen: int) -> Targets:
    boxes, labels = [torch.tensor(BOXES[i]) for i in chosen], [torch.tensor(LABELS[i]) for i in chosen]
    return Targets.collate(boxes, labels, [(HEIGHT, WIDTH)] * len(chosen))


def their_targets(*chosen: int, first_label: int = 0) -> list[dict[str, Tensor]]:
    return [{"boxes": torch.tensor(BOXES[i]), "labels": torch.tensor(LABELS[i]) + first_label} for i in chosen]


def prepare(peer: nn.Module, *, spread: dict[str, float]) -> nn.Module:
    """Norms as after training, scores that differ (``spread``: deviation of a layer's weights), in eval mode."""
    random = torch.Generator().manual_seed(1)
    norms = [m for m in peer.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2, generator=random)
        nn.init.uniform_(norm.bias, -0.2, 0.2, generator=random)
        norm.momentum = 1.0
    for name, layer in peer.named_modules():
        if name.endswith(tuple(spread)):
            nn.init.normal_(layer.weight, std=next(s for n, s in spread.items() if name.endswith(n)), generator=random)
            nn.init.uniform_(layer.bias, -1.5, -0.5, generator=random)
    with torch.no_grad():
        peer.train().backbone(images())
    return peer.eval()


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def assert_same_detections(found: Detected, expected: list[dict[str, Tensor]], *, first_label: int = 0) -> None:
    """As sets, for detections of nearly equal score may change places."""
    for i, theirs in enumerate(expected):
        count = int(found.counts[i])
        assert count == len(theirs["boxes"]) > 5
        torch.testing.assert_close(found.scores[i, :count], theirs["scores"], atol=1e-4, rtol=1e-4)
        apart = (found.boxes[i, :count, None] - theirs["boxes"]).abs().amax(-1)
        apart = apart + 1e6 * (found.labels[i, :count, None] + first_label != theirs["labels"])
        assert apart.amin(0).max() < 0.02
        assert apart.amin(1).max() < 0.02


def assert_same_gradients(ours: Detector, peer: nn.Module, table: Any, *, unlike: tuple[str, ...] = ()) -> None:
    """Of every parameter, after backward through both."""
    own = dict(ours.named_parameters())
    for name, parameter in peer.named_parameters():
        if name.startswith(unlike or ("?",)):
            continue
        gradient = own[rename(name, table)].grad
        assert gradient is not None, name
        assert parameter.grad is not None, name
        assert (gradient - parameter.grad).norm() <= 1e-3 * parameter.grad.norm() + 1e-7, name


def frozen_norms(peer: nn.Module) -> nn.Module:
    """Training mode, for the losses, but with the running statistics."""
    peer.train()
    for norm in peer.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    return peer


@pytest.fixture(scope="module")
def retinanets() -> tuple[Any, nn.Module]:
    ours, peer = pair("retinanet_r50_fpn", "retinanet_resnet50_fpn")
    ours.requires_grad_(True)
    ours.assign = partial(max_iou_assign, positive=0.5, negative=0.4, low_quality="prior")  # their low-quality rule
    return ours, peer


def test_retinanet_has_the_same_losses_and_gradients(retinanets) -> None:
    """Of one image; of several torchvision takes the mean over images of what we divide by all positives."""
    ours, peer = retinanets
    frozen_norms(peer)
    alone = [ours.losses(images()[i : i + 1], targets(i)) for i in range(2)]
    expected = peer(list(images()), their_targets(0, 1))
    peer.zero_grad()
    ours.zero_grad()
    for mine, theirs in (("cls", "classification"), ("box", "bbox_regression")):
        mean = (alone[0][mine] + alone[1][mine]) / 2
        assert mean.item() == pytest.approx(expected[theirs].item(), rel=1e-4)
    (sum(alone[0].values()) / 2 + sum(alone[1].values()) / 2).backward()
    sum(expected.values()).backward()
    assert_same_gradients(ours, peer, routes.RETINANET.table)
    peer.eval()


@pytest.fixture(scope="module")
def fcoses() -> tuple[Any, nn.Module]:
    return pair("fcos_center_r50_fpn", "fcos_resnet50_fpn")


def test_fcos_has_the_same_losses_and_assignment(fcoses) -> None:
    """Classification and centre-ness; the box loss with the weight and divisor of theirs. One object is narrower than
    its square of centre sampling."""
    ours, peer = fcoses
    frozen_norms(peer)
    narrow, thing = torch.tensor([[10.0, 95, 150, 107]]), torch.tensor([1])
    boxes = [torch.cat([torch.tensor(BOXES[0]), narrow]), torch.tensor(BOXES[1])]
    labels = [torch.cat([torch.tensor(LABELS[0]), thing]), torch.tensor(LABELS[1])]
    mine = Targets.collate(boxes, labels, [(HEIGHT, WIDTH)] * 2)
    with torch.no_grad():
        outputs = ours(images())
        losses = ours.loss(outputs, mine)
        expected = peer(list(images()), [{"boxes": b, "labels": l} for b, l in zip(boxes, labels, strict=True)])
        assert losses["cls"].item() == pytest.approx(expected["classification"].item(), rel=1e-4)
        assert losses["center"].item() == pytest.approx(expected["bbox_ctrness"].item(), rel=1e-4)
        index = ours.assign(outputs.points, mine)
        image, point = (index >= 0).nonzero(as_tuple=True)
        assert (index[0] == 3).any(), "the narrow one has points"
        found = decode_distances(torch.cat(outputs.points)[point], torch.cat(outputs.distances, 1)[image, point])
        box = giou_loss(found, mine.boxes[image, index[image, point]]).mean()
        assert box.item() == pytest.approx(expected["bbox_regression"].item(), rel=1e-4)
    peer.eval()


class EverySample:
    """In the place of torchvision's sampler: all that is positive, and all that is negative."""

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return [(x >= 1).to(torch.uint8) for x in labels], [(x == 0).to(torch.uint8) for x in labels]


@pytest.fixture(scope="module")
def faster_rcnns() -> tuple[Any, nn.Module]:
    every = {"rpn_sampler": sample_all, "roi_sampler": sample_all}
    ours, peer = pair("faster_rcnn_r50_fpn", "fasterrcnn_resnet50_fpn", **every)
    ours.requires_grad_(True)
    peer.rpn.fg_bg_sampler = peer.roi_heads.fg_bg_sampler = EverySample()
    return ours, peer


def test_faster_rcnn_has_the_same_losses_and_gradients(faster_rcnns) -> None:
    ours, peer = faster_rcnns
    frozen_norms(peer)
    losses = ours.losses(images(), targets(0, 1))
    expected = peer(list(images()), their_targets(0, 1, first_label=1))
    names = {
        "rpn_cls": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
        "cls": "loss_classifier",
        "box": "loss_box_reg",
    }
    assert losses.keys() == names.keys()
    for mine, theirs in names.items():
        assert losses[mine].item() == pytest.approx(expected[theirs].item(), rel=1e-4), mine
        assert losses[mine].item() > 1e-4, mine
    ours.zero_grad()
    peer.zero_grad()
    sum(losses.values()).backward()
    sum(expected.values()).backward()
    assert_same_gradients(ours, peer, routes.FASTER_RCNN.table, unlike=("roi_heads.box_predictor",))
    last = peer.roi_heads.box_predictor
    assert_close(ours.head.classify.weight.grad, last.cls_score.weight.grad.roll(-1, 0), 1e-3)
    assert_close(ours.head.regress.weight.grad, last.bbox_pred.weight.grad[4:], 1e-3)
    peer.eval()
