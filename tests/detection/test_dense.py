"""The dense detectors' losses and scores, against loops that are written from the papers' equations: FCOS (1904.01355
Eq. 2, 3, §3.1) and RetinaNet (1708.02002 Eq. 5, §4.1), in plain Python, one point and object at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.detection.fcos import FCOSHead, FCOSOutput
from baimu.detection.retinanet import RetinaNetOutput
from baimu.targets import Targets
from baimu.zoo import create_model

CLASSES, SIZE, STRIDES = 3, 128, (8, 16, 32, 64, 128)
BOXES = ([[10.0, 12, 40, 45], [20, 20, 100, 110], [4, 80, 124, 120]], [[64.0, 3, 90, 30]], [])
LABELS = ([2, 0, 1], [1], [])

Box = list[float]


def targets() -> Targets:
    """Three images: of three objects that overlap, of one, and of none."""
    boxes = [torch.tensor(b).reshape(-1, 4) for b in BOXES]
    return Targets.collate(boxes, [torch.tensor(l, dtype=torch.int64) for l in LABELS], [(SIZE, SIZE)] * 3)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cells(stride: int) -> int:
    return (SIZE // stride) ** 2


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def focal(logit: float, is_it: bool) -> float:
    p = sigmoid(logit) if is_it else 1 - sigmoid(logit)
    return -(0.25 if is_it else 0.75) * (1 - p) ** 2 * math.log(p)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    return common / (area(a) + area(b) - common)


@pytest.fixture(scope="module")
def fcos() -> Any:
    return create_model("fcos_r18_fpn", num_classes=CLASSES, width=32, depth=1)


def fcos_outputs(count: int = 3) -> FCOSOutput:
    """Raw predictions of every level, the points in the middle of their cells."""
    logits = [random(count, cells(s), CLASSES, seed=s) - 1 for s in STRIDES]
    distances = [2 * s * random(count, cells(s), 4, seed=s + 1).exp() for s in STRIDES]
    centers = [random(count, cells(s), seed=s + 2) for s in STRIDES]
    points = [
        torch.tensor([[(x + 0.5) * s, (y + 0.5) * s] for y in range(SIZE // s) for x in range(SIZE // s)])
        for s in STRIDES
    ]
    return FCOSOutput(logits, distances, centers, points)


def sides(x: float, y: float, box: Box) -> Box:
    return [x - box[0], y - box[1], box[2] - x, box[3] - y]


def fcos_points(outputs: FCOSOutput, image: int) -> Iterator[tuple[int, int, int | None]]:
    """(level, point, its object or None): the smallest object around the point whose longest side is of the level."""
    ranges = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, math.inf))
    for level, points in enumerate(outputs.points):
        for p, (x, y) in enumerate(points.tolist()):
            mine = []
            for i, box in enumerate(BOXES[image]):
                distances = sides(x, y, box)
                if min(distances) > 0 and ranges[level][0] <= max(distances) <= ranges[level][1]:
                    mine.append((area(box), i))
            yield level, p, min(mine)[1] if mine else None


def test_fcos_losses_equal_a_loop_over_points(fcos) -> None:
    """Classes and centre-ness over the positives; boxes by their centre-ness, over its sum."""
    outputs = fcos_outputs()
    cls = box = center = total = 0.0
    positives = 0
    for image in range(3):
        for level, p, owner in fcos_points(outputs, image):
            label = None if owner is None else LABELS[image][owner]
            cls += sum(focal(x, k == label) for k, x in enumerate(outputs.logits[level][image, p].tolist()))
            if owner is None:
                continue
            positives += 1
            x, y = outputs.points[level][p].tolist()
            l, t, r, b = sides(x, y, BOXES[image][owner])
            quality = math.sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))
            l, t, r, b = outputs.distances[level][image, p].tolist()
            total += quality
            box += quality * -math.log(iou([x - l, y - t, x + r, y + b], BOXES[image][owner]))
            p_center = sigmoid(float(outputs.centerness[level][image, p]))
            center -= quality * math.log(p_center) + (1 - quality) * math.log(1 - p_center)
    found = {name: float(loss) for name, loss in fcos.loss(outputs, targets()).items()}
    assert positives > 20
    assert abs(total - positives) > 5, "the two divisors tell themselves apart"
    expected = {"cls": cls / positives, "box": box / total, "center": center / positives}
    assert found == pytest.approx(expected, rel=1e-4)


def test_fcos_scores_are_those_of_class_and_middle(fcos) -> None:
    """What passes the threshold by its class score, times its centre-ness, with the class's own box; the rest is 0."""
    outputs = fcos_outputs(1)
    expected = []
    for level, points in enumerate(outputs.points):
        for p, (x, y) in enumerate(points.tolist()):
            l, t, r, b = outputs.distances[level][0, p].tolist()
            box = [min(max(side, 0.0), SIZE) for side in (x - l, y - t, x + r, y + b)]
            middle = sigmoid(float(outputs.centerness[level][0, p]))
            for label, logit in enumerate(outputs.logits[level][0, p].tolist()):
                if sigmoid(logit) > 0.6:
                    expected.append([sigmoid(logit) * middle, label, *box])
    fcos.score_threshold = 0.6
    assert_same_candidates(fcos.decode(outputs, torch.tensor([[SIZE, SIZE]])), expected)


def assert_same_candidates(candidates: Any, expected: list[list[float]]) -> None:
    """Those of a score above 0, as rows of score, label and box, in the order of their scores."""
    rows = torch.cat([candidates.scores[0, :, None], candidates.labels[0, :, None], candidates.boxes[0]], 1)
    rows = rows[rows[:, 0] > 0]
    assert len(rows) == len(expected) > 20
    torch.testing.assert_close(rows[rows[:, 0].argsort()], torch.tensor(sorted(expected)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("improved", [False, True])
def test_distances_are_of_their_level(improved: bool) -> None:
    """Where a head says 0.5 everywhere: e^0.5 pixels at every level (§3.2), improved half a stride."""
    head = FCOSHead(32, CLASSES, STRIDES, depth=1, improved=improved)
    nn.init.zeros_(head.regress.weight)
    head.regress.bias = nn.Parameter(torch.full((4,), 0.5))
    outputs = head([random(1, 32, 2 * SIZE // s, 2 * SIZE // s, seed=s) for s in STRIDES])
    for stride, distances, points in zip(STRIDES, outputs.distances, outputs.points, strict=True):
        expected = 0.5 * stride if improved else math.exp(0.5)
        torch.testing.assert_close(distances, torch.full_like(distances, expected))
        assert points[0].tolist() == [stride / 2, stride / 2]


@pytest.fixture(scope="module")
def retinanet() -> Any:
    return create_model("retinanet_r18_fpn", num_classes=CLASSES)


def retinanet_outputs(count: int = 3) -> RetinaNetOutput:
    """Raw predictions on anchors of two shapes and random places, on the coarser levels only: loops are slow."""
    strides, anchors = STRIDES[2:], []
    for s in strides:
        middle = SIZE * torch.rand(2 * cells(s), 2, generator=torch.Generator().manual_seed(s))
        half = torch.tensor([[1.0 * s, 0.7 * s], [0.6 * s, 1.0 * s]]).repeat(cells(s), 1)
        anchors.append(torch.cat([middle - half, middle + half], 1))
    anchors[0][:3] = torch.tensor([[62.0, 2, 92, 31], [11, 12, 40, 45], [74, 3, 100, 30]])
    logits = [random(count, 2 * cells(s), CLASSES, seed=s) - 1 for s in strides]
    return RetinaNetOutput(logits, [random(count, 2 * cells(s), 4, seed=s + 1) for s in strides], anchors)


def owners(anchors: list[Box], objects: list[Box]) -> list[int | str | None]:
    """Object of each anchor, None for background, "ignored" between: 0.5, 0.4, and each object's best ones (§4.1)."""
    found: list[int | str | None] = []
    for anchor in anchors:
        overlaps = [iou(anchor, box) for box in objects] or [0.0]
        best = max(overlaps)
        found.append(overlaps.index(best) if best >= 0.5 else None if best < 0.4 else "ignored")
    for i, box in enumerate(objects):
        overlaps = [iou(anchor, box) for anchor in anchors]
        for a, overlap in enumerate(overlaps):
            if overlap == max(overlaps) > 0:
                found[a] = i
    return found


def test_retinanet_losses_equal_a_loop_over_anchors(retinanet) -> None:
    """Focal loss of all anchors but the ignored and L1 of positives, over the positives, of each image at least one."""
    outputs = retinanet_outputs()
    anchors = torch.cat(outputs.anchors).tolist()
    cls = box = 0.0
    divisor, ignored = 0, 0
    for image in range(3):
        mine = owners(anchors, BOXES[image])
        divisor += max(1, sum(isinstance(owner, int) for owner in mine))
        ignored += mine.count("ignored")
        logits, deltas = (torch.cat(part, 1)[image].tolist() for part in (outputs.logits, outputs.deltas))
        for anchor, owner, row, delta in zip(anchors, mine, logits, deltas, strict=True):
            if owner == "ignored":
                continue
            label = LABELS[image][owner] if isinstance(owner, int) else None
            cls += sum(focal(x, k == label) for k, x in enumerate(row))
            if isinstance(owner, int):
                box += sum(abs(a - b) for a, b in zip(delta, wanted(anchor, BOXES[image][owner]), strict=True))
    found = {name: float(loss) for name, loss in retinanet.loss(outputs, targets()).items()}
    assert divisor > 4
    assert ignored
    assert found == pytest.approx({"cls": cls / divisor, "box": box / divisor}, rel=1e-4)


def wanted(anchor: Box, box: Box) -> Box:
    """dx, dy in anchor sizes, and the logarithms of the ratios of the sides (1311.2524 C)."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    dx = ((box[0] + box[2]) - (anchor[0] + anchor[2])) / 2 / width
    dy = ((box[1] + box[3]) - (anchor[1] + anchor[3])) / 2 / height
    return [dx, dy, math.log((box[2] - box[0]) / width), math.log((box[3] - box[1]) / height)]


def test_retinanet_scores_are_those_above_its_threshold(retinanet) -> None:
    outputs = retinanet_outputs(1)
    expected = []
    for anchor, row, delta in zip(
        torch.cat(outputs.anchors).tolist(),
        torch.cat(outputs.logits, 1)[0].tolist(),
        torch.cat(outputs.deltas, 1)[0].tolist(),
        strict=True,
    ):
        width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
        x, y = (anchor[0] + anchor[2]) / 2 + delta[0] * width, (anchor[1] + anchor[3]) / 2 + delta[1] * height
        half = width * math.exp(delta[2]) / 2, height * math.exp(delta[3]) / 2
        box = [min(max(side, 0.0), SIZE) for side in (x - half[0], y - half[1], x + half[0], y + half[1])]
        if box[2] > box[0] and box[3] > box[1]:
            expected += [[sigmoid(logit), k, *box] for k, logit in enumerate(row) if sigmoid(logit) > 0.3]
    retinanet.score_threshold = 0.3
    assert_same_candidates(retinanet.decode(outputs, torch.tensor([[SIZE, SIZE]])), expected)
