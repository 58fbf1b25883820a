"""The pieces of Siamese trackers against slow ones, and whether a trained response would be followed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baimu.ops.correlation import correlate, correlate_depthwise
from baimu.targets import PairTargets
from baimu.tracking.siamese import Target, Window, context_side, hann
from baimu.tracking.siamfc import balanced_weights, response_labels, siamfc_alexnet
from baimu.tracking.siamrpn import (
    SiamRPNOutput,
    anchor_sizes,
    anchors_at,
    assign_anchors,
    siamrpn_alexnet,
    siamrpn_alexnet_dw,
)
from baimu.weights.keys import convert, convert_back
from baimu.weights.siamese import PYSOT_UP


def test_correlation_equals_a_convolution_for_each_image() -> None:
    torch.manual_seed(0)
    search, kernels = torch.randn(3, 4, 9, 8), torch.randn(3, 5 * 4, 3, 2)
    slow = torch.stack([F.conv2d(s[None], k.reshape(5, 4, 3, 2))[0] for s, k in zip(search, kernels, strict=True)])
    torch.testing.assert_close(correlate(search, kernels), slow, rtol=1e-5, atol=1e-5)
    one = kernels[:, :4]
    slow = torch.stack(
        [(F.conv2d(s[:, None], k[:, None]).diagonal().permute(2, 0, 1)) for s, k in zip(search, one, strict=True)]
    )
    found = correlate_depthwise(search, one)
    torch.testing.assert_close(found, slow, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.sum(1), correlate(search, one)[:, 0], rtol=1e-5, atol=1e-5)


def test_pysots_upchannel_head_is_loaded_and_equals_its_equations() -> None:
    """§3.2: the exemplar's map becomes 2k or 4k kernels over all channels."""
    torch.manual_seed(0)
    model = siamrpn_alexnet(width=0.05).eval()
    theirs = convert_back(model.state_dict(), PYSOT_UP)
    assert {
        "rpn_head.template_cls_conv.weight",
        "rpn_head.loc_adjust.bias",
        "backbone.layer1.0.weight",
    } <= theirs.keys()
    other = siamrpn_alexnet(width=0.05).eval()
    other.load_state_dict(convert(theirs, other, PYSOT_UP))
    states = model.state_dict().values(), other.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))

    exemplar, search = torch.randn(1, 256, 6, 6), torch.randn(1, 256, 12, 12)
    for part, name, out in ((model.classify, "cls", 10), (model.regress, "loc", 20)):
        weights = [theirs[f"rpn_head.{side}_{name}_conv.{kind}"] for side in ("template", "search") for kind in _PARTS]
        kernels = F.conv2d(exemplar, *weights[:2])[0].reshape(out, 256, 4, 4)
        expected = F.conv2d(F.conv2d(search, *weights[2:]), kernels)
        if name == "loc":
            expected = F.conv2d(expected, *(theirs[f"rpn_head.loc_adjust.{kind}"] for kind in _PARTS))
        with torch.no_grad():
            found = part(part.kernels(exemplar), search)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


_PARTS = ("weight", "bias")


def test_anchors_are_the_published_ones() -> None:
    assert anchor_sizes().int().tolist() == [[104, 32], [88, 40], [64, 64], [40, 80], [32, 96]]
    anchors = anchors_at(anchor_sizes(), 3, 8, 10.0)
    assert anchors.shape == (45, 4)
    assert anchors[0].tolist() == [2 - 52, 2 - 16, 2 + 52, 2 + 16]  # the first anchor at the upper left place
    assert anchors[1].tolist() == [10 - 52, 2 - 16, 10 + 52, 2 + 16]  # then along the row
    assert anchors[9].tolist() == [2 - 44, 2 - 20, 2 + 44, 2 + 20]


def test_the_assignment_equals_a_slow_one() -> None:
    anchors = anchors_at(anchor_sizes(), 9, 8, 95.5)
    boxes = torch.tensor([[50.0, 60, 130, 120], [90.0, 30, 160, 100], [80.0, 90, 120, 150]])
    positive = torch.tensor([True, True, False])
    exemplars = torch.zeros(3, 3, 127, 127, dtype=torch.uint8)
    found = assign_anchors(anchors, PairTargets(exemplars, boxes, positive), 9, 8)
    for i in range(2):
        for p, anchor in enumerate(anchors.tolist()):
            x = max(0.0, min(anchor[2], boxes[i, 2]) - max(anchor[0], boxes[i, 0]))
            y = max(0.0, min(anchor[3], boxes[i, 3]) - max(anchor[1], boxes[i, 1]))
            area = float((boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1]))
            iou = float(x * y / (area + (anchor[2] - anchor[0]) * (anchor[3] - anchor[1]) - x * y))
            assert found[i, p] == (0 if iou > 0.6 else -1 if iou < 0.3 else -2)
    own = [4 + math.ceil((float(c) - 95.5) / 8 + 0.5) for c in (boxes[2, :2] + boxes[2, 2:]) / 2]
    for p in range(len(anchors)):
        row, column = p % 81 // 9, p % 9
        near = abs(column - own[0]) <= 3 and abs(row - own[1]) <= 3
        assert found[2, p] == (-1 if near else -2)


def test_sampling_keeps_its_quotas() -> None:
    model = siamrpn_alexnet_dw(width=0.05)
    torch.manual_seed(0)
    assigned = torch.full((3, 405), -1)
    assigned[0, :40] = 0
    assigned[1, :3] = 0
    assigned[2, 49:] = -2
    chosen = model.sample(assigned)
    positives = (chosen.positive & chosen.valid).sum(1).tolist()
    negatives = (~chosen.positive & chosen.valid).sum(1).tolist()
    assert positives == [16, 3, 0]
    assert negatives == [48, 48, 16]


def test_labels_and_weights_of_siamfc() -> None:
    labels = response_labels(17, 2)
    assert labels.sum() == 13  # a diamond of two steps
    assert labels[8, 8]
    assert labels[8, 10]
    assert labels[7, 9]
    assert not labels[6, 9]
    weights = balanced_weights(labels.expand(3, -1, -1))
    assert float(weights.sum()) == pytest.approx(1)
    assert float(weights[labels.expand(3, -1, -1)].sum()) == pytest.approx(0.5)
    alone = balanced_weights(torch.zeros(1, 3, 3, dtype=torch.bool))
    assert float(alone.sum()) == pytest.approx(1)


def test_a_shift_of_eight_pixels_moves_the_response_by_one_cell() -> None:
    torch.manual_seed(0)
    model = siamfc_alexnet(width=0.05).eval()
    wide = torch.randn(1, 3, 255, 255 + 8) * 40
    exemplar = torch.randn(1, 3, 127, 127) * 40
    with torch.no_grad():
        left, right = model(exemplar, wide[..., :255]), model(exemplar, wide[..., 8:])
    torch.testing.assert_close(left[..., 1:], right[..., :-1], rtol=1e-4, atol=1e-6)


def test_siamfc_moves_to_the_peak_and_takes_its_scale() -> None:
    tracker = siamfc_alexnet(width=0.05).tracker(window=0.0)
    frame = np.zeros((400, 400, 3), np.uint8)
    tracker.init(frame, np.array([150.0, 160, 250, 240]))
    side = tracker.side
    response = torch.full((3, 17, 17), -5.0)
    response[2, 8, 11] = 5  # three cells to the right of the middle, at the larger scale
    x1, y1, x2, y2 = tracker.decide(response, frame).boxes[0]
    scale = side * 1.0375 / 255
    assert (x1 + x2) / 2 == pytest.approx(200 + 3 * 8 * scale, abs=0.5 * scale)
    assert (y1 + y2) / 2 == pytest.approx(200, abs=0.5 * scale)
    assert x2 - x1 == pytest.approx(100 * (0.41 + 0.59 * 1.0375), rel=1e-5)


def test_siamrpn_takes_a_candidate_by_its_penalty() -> None:
    """The example of §4.3's equation: a change of 50 x 100 to 60 x 90."""
    tracker = siamrpn_alexnet_dw(width=0.05).tracker(window=0.0, rate=1.0)
    frame = np.zeros((600, 600, 3), np.uint8)
    tracker.init(frame, np.array([275.0, 250, 325, 350]))
    scale = 127 / context_side(50, 100)
    places = 21
    anchors = anchors_at(anchor_sizes(), places, 8, 0.0)
    which = 4 * places**2 + 10 * places + 10  # the highest anchor, in the middle
    wanted = torch.tensor([60 * scale, 90 * scale])
    deltas = torch.zeros(1, len(anchors), 4)
    deltas[0, which, 2:] = (wanted / (anchors[which, 2:] - anchors[which, :2])).log()
    logits = torch.zeros(1, len(anchors), 2)
    logits[..., 0] = 20
    logits[0, which] = torch.tensor([0.0, 20.0])
    found = tracker.decide(SiamRPNOutput(logits, deltas), frame)
    x1, y1, x2, y2 = found.boxes[0]
    rate = 0.946225  # the penalty, at score 1
    assert x2 - x1 == pytest.approx(50 * (1 - rate) + 60 * rate, rel=1e-4)
    assert y2 - y1 == pytest.approx(100 * (1 - rate) + 90 * rate, rel=1e-4)
    assert (x1 + x2) / 2 == pytest.approx(300, abs=1e-3)


def test_parameters_are_as_many_as_published() -> None:
    with torch.device("meta"):
        counts = {f.__name__: sum(p.numel() for p in f().parameters()) for f in (siamfc_alexnet, siamrpn_alexnet_dw)}
        up = sum(p.numel() for p in siamrpn_alexnet().classify.parameters())
    assert counts == {"siamfc_alexnet": 2_336_320, "siamrpn_alexnet_dw": 6_251_102}
    assert up == 256 * 2560 * 9 + 2560 + 256 * 256 * 9 + 256


def test_windows_and_targets() -> None:
    window = Window(10, 20, 50, 100)
    assert window.to_crop(np.array([10.0, 20, 60, 120]), 25).tolist() == [0, 0, 25, 25]
    assert context_side(50, 50) == pytest.approx(100)
    middle = hann(5)
    assert middle[2, 2] == 1
    assert middle[0].max() == 0
    target = Target(500, -3, 2, 900)
    target.hold(np.zeros((100, 200, 3), np.uint8), 10)
    assert (target.x, target.y, target.width, target.height) == (200, 0, 10, 100)
