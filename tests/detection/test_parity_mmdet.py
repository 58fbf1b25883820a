"""The three detectors equal mmdetection: features, raw outputs, predictions, losses and gradient norms.

Weights, images and annotations are made by the rule of the golden files; nothing of the reference is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from baimu.backbones.resnet import resnet50
from baimu.detection.detector import Detector
from baimu.detection.faster_rcnn import FasterRCNN
from baimu.detection.fcos import FCOS, FCOSHead
from baimu.detection.retinanet import RetinaNet
from baimu.layers.norm import affine_batch_norm
from baimu.losses.boxes import giou_loss
from baimu.necks.fpn import FPN
from baimu.sample.random import sample_all
from baimu.weights.keys import load_renamed, rename
from baimu.weights.openmmlab import DETECTION, extra_levels
from tests.detection.golden import Golden

CLASSES = 7


def build_retinanet() -> RetinaNet:
    backbone = resnet50(out=(3, 4, 5), norm=affine_batch_norm)
    neck = FPN(backbone, 256, extra=2, extra_from="input")
    return RetinaNet(backbone, neck, num_classes=CLASSES, candidates=300, max_detections=40)


def build_fcos(*, improved: bool = False, **options) -> FCOS:
    backbone = resnet50(out=(3, 4, 5), norm=affine_batch_norm, stride_in_3x3=False)
    neck = FPN(backbone, 256, extra=2, extra_from="output", relu_before_extra=True)
    head = FCOSHead(256, CLASSES, neck.strides, tower_bias=improved, improved=improved)
    return FCOS(backbone, neck, num_classes=CLASSES, head=head, candidates=300, max_detections=40, **options)


def build_faster_rcnn() -> FasterRCNN:
    backbone = resnet50(norm=affine_batch_norm)
    return FasterRCNN(
        backbone,
        FPN(backbone, 256, extra=1),
        num_classes=CLASSES,
        rpn_sampler=sample_all,
        roi_sampler=sample_all,
        train_proposals=(300, 100),
        test_proposals=(300, 100),
        max_detections=40,
    )


@dataclass(frozen=True)
class Case:
    golden: str
    build: Callable[[], Detector]
    first_level: int  # of the backbone's maps that the neck reads
    losses: dict[str, str]  # ours: prefix of theirs


DENSE = {"cls": "loss_cls", "box": "loss_bbox"}
CASES = [
    Case("retinanet_r50_fpn", build_retinanet, 1, DENSE),
    Case("fcos_r50_gn_head", build_fcos, 1, DENSE | {"center": "loss_centerness"}),
    Case("fcos_r50_gn_head_center", partial(build_fcos, center_radius=1.5), 1, DENSE | {"center": "loss_centerness"}),
    Case(
        "fcos_r50_center_normbbox_giou",
        partial(build_fcos, improved=True, center_radius=1.5, box_loss=giou_loss, iou_threshold=0.6),
        1,
        DENSE | {"center": "loss_centerness"},
    ),
    Case(
        "faster_rcnn_r50_fpn",
        build_faster_rcnn,
        0,
        DENSE | {"rpn_cls": "loss_rpn_cls", "rpn_box": "loss_rpn_bbox"},
    ),
]


@dataclass(frozen=True)
class Loaded:
    case: Case
    golden: Golden
    model: Detector
    table: tuple


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.golden)
def loaded(request: pytest.FixtureRequest, shared: Path) -> Loaded:
    case = request.param
    golden = Golden.read(shared / "goldens" / "mmdet" / f"{case.golden}.npz")
    model = case.build().eval()
    table = (*DETECTION, *(extra_levels(3, 2) if case.first_level else ()))
    load_renamed(model, golden.state(), table, may_miss=(r"num_batches_tracked$",))
    return Loaded(case, golden, model, table)


def test_features_and_raw_outputs(loaded: Loaded) -> None:
    golden, model, first = loaded.golden, loaded.model, loaded.case.first_level
    images, sizes = golden.images(), golden.targets().sizes
    with torch.no_grad():
        features = model.backbone(images)
        pyramid = model.neck(features)
        for level, x in enumerate(features, start=first):
            assert golden.difference(f"eval/backbone/{level}", x) < 1e-4
        for level, x in enumerate(pyramid):
            assert golden.difference(f"eval/neck/{level}", x) < 1e-4
        if isinstance(model, FasterRCNN):
            logits, deltas = model.rpn(pyramid)
            rows, module = (logits, deltas), "rpn_head"
            outputs = model(images, sizes)
            rois = torch.from_numpy(golden.arrays["eval/roi_head.bbox_roi_extractor/rois"]).reshape(2, -1, 5)[..., 1:]
            pooled = model.pool_rois(pyramid, rois)
            assert golden.difference("eval/roi_head.bbox_roi_extractor", pooled.flatten(0, 1)) < 1e-4
            scores, boxes = model.head(pooled)
            assert golden.difference("eval/roi_head.bbox_head/0", scores.flatten(0, 1)) < 1e-4
            assert golden.difference("eval/roi_head.bbox_head/1", boxes.flatten(2).flatten(0, 1)) < 1e-4
            assert outputs.proposals.valid.all()
        else:
            outputs, module = model(images), "bbox_head"
            rows = tuple(outputs[:-1])
        for part, levels in enumerate(rows):
            for level, (row, x) in enumerate(zip(levels, pyramid, strict=True)):
                raw = row.reshape(2, *x.shape[2:], -1).permute(0, 3, 1, 2)
                assert golden.difference(f"eval/{module}/{part}.{level}", raw) < 1e-4


def test_predictions(loaded: Loaded) -> None:
    """The same detections, compared as sets: scores, then boxes, of each class."""
    golden, model = loaded.golden, loaded.model
    with torch.no_grad():
        found = model.detect(golden.images(), golden.targets().sizes)
    for i in range(2):
        scores, labels = golden.arrays[f"pred/{i}/scores"], golden.arrays[f"pred/{i}/labels"]
        boxes = torch.from_numpy(golden.arrays[f"pred/{i}/bboxes"])
        count = int(found.counts[i])
        assert count == len(scores)
        assert found.labels[i, :count].sort().values.tolist() == sorted(labels.tolist())
        for box, score, label in zip(boxes, scores, labels, strict=True):
            same = found.labels[i] == int(label)
            distance = (found.boxes[i, same] - box).abs().amax(1) + 200 * (found.scores[i, same] - score).abs()
            assert distance.min() < 0.02, (label, score, box)


def test_losses_and_gradients(loaded: Loaded) -> None:
    golden, model, case = loaded.golden, loaded.model, loaded.case
    model.zero_grad()
    losses = model.losses(golden.images(), golden.targets())
    assert set(losses) == set(case.losses)
    for ours, theirs in case.losses.items():
        expected = sum(v for k, v in golden.meta["losses"].items() if k == theirs or k.startswith(f"{theirs}."))
        assert losses[ours].item() == pytest.approx(expected, rel=1e-4), ours
    sum(losses.values()).backward()
    parameters = dict(model.named_parameters())
    largest = float(golden.arrays["grad_norms"].max())
    for name, expected in zip(golden.meta["grad_names"], golden.arrays["grad_norms"], strict=True):
        gradient = parameters[rename(name, loaded.table)].grad
        if expected < 0:
            continue  # frozen in the reference
        assert gradient is not None, name
        norm = gradient.double().norm().item()  # float32 loses four digits over ten million elements
        assert norm == pytest.approx(float(expected), rel=1e-4, abs=1e-7 * largest), name
