"""The three detectors equal torchvision's with its parameters loaded, wherever the definitions agree.

Where they differ (the tables at the head of each method's file), the difference is an argument of ours, or is undone
in the comparison by one line that names it. Images have sides that are multiples of 128: elsewhere torchvision's
anchors of the coarsest maps are not ``stride`` apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from baimu.assign.max_iou import max_iou_assign
from baimu.backbones.resnet import resnet50
from baimu.detection.detector import Detector
from baimu.detection.faster_rcnn import FasterRCNN
from baimu.detection.fcos import FCOS, FCOSHead
from baimu.detection.retinanet import RetinaNet
from baimu.layers.anchors import AnchorGrid
from baimu.losses.boxes import giou_loss, smooth_l1_loss
from baimu.necks.fpn import FPN
from baimu.ops.boxes import decode_distances
from baimu.ops.nms import Detected
from baimu.ops.roi import roi_align
from baimu.sample.random import sample_all
from baimu.targets import Targets
from baimu.weights.keys import load_renamed, rename
from baimu.weights.torchvision import DETECTION, RETINANET, background_last
from baimu.weights.torchvision import FCOS as FCOS_TABLE

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


def features(peer: nn.Module) -> list[Tensor]:
    return list(peer.backbone(images()).values())


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def assert_same_maps(ours: Detector, peer: nn.Module) -> list[Tensor]:
    """Backbone and pyramid; returns the pyramid."""
    backbone_maps = ours.backbone(images())
    for x, y in zip(backbone_maps, peer.backbone.body(images()).values(), strict=True):
        assert_close(x, y)
    maps = ours.neck(backbone_maps)
    for x, y in zip(maps, features(peer), strict=True):
        assert_close(x, y)
    return maps


def assert_same_anchors(ours: Detector, peer_generator: nn.Module, maps: list[Tensor]) -> None:
    theirs = peer_generator(ImageList(images(), [(HEIGHT, WIDTH)] * 2), maps)
    assert torch.equal(torch.cat(ours.anchors(maps)), theirs[0])


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
def retinanets() -> tuple[RetinaNet, nn.Module]:
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES, "detections_per_img": 100}
    peer = torchvision.models.detection.retinanet_resnet50_fpn(**options, **AS_IS)
    prepare(peer, spread={"cls_logits": 0.05})
    backbone = resnet50(out=(3, 4, 5))
    neck = FPN(backbone, 256, extra=2, extra_from="output", relu_before_extra=True)  # P6 on P5
    anchors = AnchorGrid(peer.anchor_generator.cell_anchors, neck.strides)  # rounded corners
    ours = RetinaNet(backbone, neck, num_classes=CLASSES, anchors=anchors).eval()
    load_renamed(ours, peer.state_dict(), RETINANET)
    ours.assign = partial(max_iou_assign, positive=0.5, negative=0.4, low_quality="prior")  # their low-quality rule
    return ours, peer


@torch.no_grad()
def test_retinanet_has_the_same_maps_anchors_and_raw_outputs(retinanets) -> None:
    ours, peer = retinanets
    maps = assert_same_maps(ours, peer)
    assert_same_anchors(ours, peer.anchor_generator, maps)
    outputs, expected = ours(images()), peer.head(features(peer))
    assert_close(torch.cat(outputs.logits, 1), expected["cls_logits"])
    assert_close(torch.cat(outputs.deltas, 1), expected["bbox_regression"])


@torch.no_grad()
def test_retinanet_has_the_same_detections(retinanets) -> None:
    ours, peer = retinanets
    assert_same_detections(ours.detect(images()), peer(list(images())))


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
    assert_same_gradients(ours, peer, RETINANET)
    peer.eval()


@pytest.fixture(scope="module")
def fcoses() -> tuple[FCOS, nn.Module]:
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES}
    limits = {"score_thresh": 0.0, "topk_candidates": 10_000, "nms_thresh": 0.6}  # the thresholds are of unlike scores
    peer = torchvision.models.detection.fcos_resnet50_fpn(**options, **limits, **AS_IS)
    prepare(peer, spread={"cls_logits": 0.05, "bbox_reg": 0.02, "bbox_ctrness": 0.05})
    nn.init.uniform_(peer.head.regression_head.bbox_reg.bias, 4.0, 6.0)  # boxes without area, which we drop, are rare
    backbone = resnet50(out=(3, 4, 5))
    neck = FPN(backbone, 256, extra=2, extra_from="output", relu_before_extra=True)
    head = FCOSHead(256, CLASSES, neck.strides, tower_bias=True, improved=True)
    limits = {"score_threshold": 0.0, "candidates": 10_000, "iou_threshold": 0.6}
    ours = FCOS(backbone, neck, num_classes=CLASSES, head=head, center_radius=1.5, box_loss=giou_loss, **limits).eval()
    load_renamed(ours, peer.state_dict(), FCOS_TABLE, may_miss=(r"^head\.scales\.",))  # they learn no scales
    return ours, peer


def at_corners(ours: FCOS, batch: Tensor) -> Any:
    """Our outputs with the points where torchvision has them: ``index * stride``."""
    outputs = ours(batch)
    return outputs._replace(points=[p - s / 2 for p, s in zip(outputs.points, ours.neck.strides, strict=True)])


@torch.no_grad()
def test_fcos_has_the_same_maps_and_raw_outputs(fcoses) -> None:
    ours, peer = fcoses
    maps = assert_same_maps(ours, peer)
    outputs, expected = ours(images()), peer.head(features(peer))
    assert_close(torch.cat(outputs.logits, 1), expected["cls_logits"])
    assert_close(torch.cat(outputs.centerness, 1), expected["bbox_ctrness"][..., 0])
    strides = [torch.full((x.shape[2] * x.shape[3], 1), s) for x, s in zip(maps, ours.neck.strides, strict=True)]
    assert_close(torch.cat(outputs.distances, 1), expected["bbox_regression"] * torch.cat(strides))
    assert expected["bbox_regression"].max() > 0.1, "not all held at zero by the ReLU"


@torch.no_grad()
def test_fcos_has_the_same_detections(fcoses) -> None:
    """Their score is the root of ours, which changes no order."""
    ours, peer = fcoses
    assert all((d > 0).all() for d in ours(images()).distances)
    candidates = ours.decode(at_corners(ours, images()), targets(0, 1).sizes)
    found = ours.nms(*candidates, ours.iou_threshold, ours.max_detections)
    assert_same_detections(found._replace(scores=found.scores.sqrt()), peer(list(images())))


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
        outputs = at_corners(ours, images())
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
def faster_rcnns() -> tuple[FasterRCNN, nn.Module]:
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES + 1, "rpn_post_nms_top_n_train": 150}
    peer = torchvision.models.detection.fasterrcnn_resnet50_fpn(**options, rpn_post_nms_top_n_test=150, **AS_IS)
    prepare(peer, spread={"rpn.head.cls_logits": 0.05, "cls_score": 0.1, "rpn.head.bbox_pred": 0.01})
    nn.init.normal_(peer.roi_heads.box_predictor.bbox_pred.weight, std=0.02)
    peer.rpn.fg_bg_sampler = peer.roi_heads.fg_bg_sampler = EverySample()
    backbone = resnet50()
    neck = FPN(backbone, 256, extra=1)
    ours = FasterRCNN(
        backbone,
        neck,
        num_classes=CLASSES,
        anchors=AnchorGrid(peer.rpn.anchor_generator.cell_anchors, neck.strides),
        rpn_sampler=sample_all,
        roi_sampler=sample_all,
        pool=partial(roi_align, sampling_ratio=2, aligned=False),
        box_loss=partial(smooth_l1_loss, beta=1 / 9),
        train_proposals=(2000, 150),
        test_proposals=(1000, 150),
    ).eval()
    load_renamed(ours, background_last(peer.state_dict()), DETECTION)
    return ours, peer


@torch.no_grad()
def test_faster_rcnn_has_the_same_maps_anchors_and_first_stage(faster_rcnns) -> None:
    ours, peer = faster_rcnns
    maps = assert_same_maps(ours, peer)
    assert_same_anchors(ours, peer.rpn.anchor_generator, maps)
    logits, deltas = ours.rpn(maps)
    for mine, theirs, rows in zip(logits, peer.rpn.head(maps)[0], deltas, strict=True):
        assert_close(mine, theirs.permute(0, 2, 3, 1).flatten(1))
        assert rows.shape == (*mine.shape, 4)
    theirs = torch.cat([x.permute(0, 2, 3, 1).reshape(2, -1, 4) for x in peer.rpn.head(maps)[1]], 1)
    assert_close(torch.cat(deltas, 1), theirs)
    batch = ImageList(images(), [(HEIGHT, WIDTH)] * 2)
    expected, _ = peer.rpn(batch, peer.backbone(images()))
    proposals = ours(images()).proposals
    for i in range(2):
        valid = proposals.valid[i]
        assert int(valid.sum()) == len(expected[i]) == 150
        apart = (proposals.boxes[i, valid, None] - expected[i]).abs().amax(-1)
        assert apart.amin(0).max() < 0.01
        assert apart.amin(1).max() < 0.01


@torch.no_grad()
def test_faster_rcnn_has_the_same_second_stage_on_the_same_proposals(faster_rcnns) -> None:
    ours, peer = faster_rcnns
    outputs = ours(images())
    maps = peer.backbone(images())
    pooled = peer.roi_heads.box_roi_pool(maps, list(outputs.proposals.boxes), [(HEIGHT, WIDTH)] * 2)
    assert_close(ours.pool_rois(list(maps.values()), outputs.proposals.boxes).flatten(0, 1), pooled)
    scores, deltas = peer.roi_heads.box_predictor(peer.roi_heads.box_head(pooled))
    assert_close(outputs.logits.flatten(0, 1), scores.roll(-1, 1))
    assert_close(outputs.deltas.flatten(0, 1), deltas.unflatten(1, (-1, 4))[:, 1:])


@torch.no_grad()
def test_faster_rcnn_has_the_same_detections(faster_rcnns) -> None:
    ours, peer = faster_rcnns
    assert_same_detections(ours.detect(images()), peer(list(images())), first_label=1)


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
        assert losses[mine].item() > 1e-3, mine
    ours.zero_grad()
    peer.zero_grad()
    sum(losses.values()).backward()
    sum(expected.values()).backward()
    assert_same_gradients(ours, peer, DETECTION, unlike=("roi_heads.box_predictor",))
    last = peer.roi_heads.box_predictor
    assert_close(ours.head.classify.weight.grad, last.cls_score.weight.grad.roll(-1, 0), 1e-3)
    assert_close(ours.head.regress.weight.grad, last.bbox_pred.weight.grad[4:], 1e-3)
    peer.eval()
