"""Box arithmetic against the golden values of the spec, plain loops and torchvision, and what must always hold."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder

from baimu.ops.boxes import (
    LOG_RATIO_LIMIT,
    box_area,
    box_iou,
    clip_boxes,
    cxcywh_to_xyxy,
    decode_deltas,
    decode_distances,
    encode_deltas,
    encode_distances,
    paired_iou,
    xyxy_to_cxcywh,
)
from tests.ops import oracle

few = settings(max_examples=30)

PREDICTED = torch.tensor([[0.0, 0, 4, 4], [0, 0, 2, 2], [1, 1, 3, 5], [0, 0, 10, 4]])
TRUE = torch.tensor([[1.0, 1, 5, 3], [3, 3, 5, 5], [1, 1, 3, 5], [0, 0, 10, 10]])
KINDS = ("iou", "giou", "diou", "ciou")


@pytest.mark.parametrize(
    ("kind", "golden"),
    [
        ("iou", (1 / 3, 0, 1, 0.4)),
        ("giou", (1 - 0.7666667, 1 - 1.68, 1, 1 - 0.6)),
        ("diou", (1 - 0.6910569, 1 - 1.36, 1, 1 - 0.645)),
        ("ciou", (1 - 0.6935411, 1 - 1.36, 1, 1 - 0.6516239)),
    ],
)
def test_paired_iou_has_the_golden_values(kind, golden) -> None:
    assert paired_iou(PREDICTED, TRUE, kind).tolist() == pytest.approx(golden, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_paired_iou_equals_a_loop(kind) -> None:
    a, b = oracle.random_boxes(64, 40, seed=0), oracle.random_boxes(64, 40, seed=1)
    expected = [getattr(oracle, kind)(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert paired_iou(a, b, kind).tolist() == pytest.approx(expected, abs=2e-6)


def test_box_iou_equals_a_loop_and_torchvision_with_empty_boxes_among_them() -> None:
    a = torch.cat([oracle.random_boxes(20, 24, seed=0), torch.zeros(1, 4), torch.tensor([[5.0, 5, 5, 9]])])
    b = torch.cat([oracle.random_boxes(30, 24, seed=1), torch.zeros(1, 4)])
    expected = [[oracle.iou(x, y) for y in b.tolist()] for x in a.tolist()]
    found = box_iou(a, b)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(found[:20, :30], torchvision.ops.box_iou(a[:20], b[:30]))
    assert found[20].sum() == 0, "an empty box overlaps nothing, itself neither"


def test_box_iou_broadcasts_over_a_batch_and_takes_no_boxes() -> None:
    a = oracle.random_boxes(12, 30, seed=0).reshape(3, 4, 4)
    b = oracle.random_boxes(5, 30, seed=1)
    found = box_iou(a, b)
    assert found.shape == (3, 4, 5)
    assert torch.equal(found[1], box_iou(a[1], b))
    assert box_iou(a[0], b[:0]).shape == (4, 0)
    assert box_iou(a[0, :0], b).shape == (0, 5)


def test_inverted_boxes_overlap_nothing() -> None:
    inverted, whole = torch.tensor([[8.0, 8, 2, 2], [8, 2, 2, 8]]), torch.tensor([[0.0, 0, 9, 9]])
    assert box_iou(inverted, whole).tolist() == [[0], [0]]
    assert paired_iou(inverted, whole.expand(2, 4)).tolist() == [0, 0]


def test_area_keeps_its_sign() -> None:
    assert box_area(torch.tensor([[1.0, 2, 4, 8], [4, 2, 1, 8], [3, 3, 3, 9]])).tolist() == [18, -18, 0]


@few
@given(oracle.box_sets(count=4), oracle.box_sets(count=4))
def test_every_overlap_lies_in_its_range(a: Tensor, b: Tensor) -> None:
    iou, giou, diou, ciou = (paired_iou(a, b, kind) for kind in KINDS)
    assert iou.min() >= 0
    assert iou.max() <= 1
    for value in (giou, diou):
        assert value.min() >= -1 - 1e-6
        assert bool((value <= iou + 1e-6).all())
    assert bool((ciou <= diou + 1e-6).all())
    assert bool(torch.isfinite(ciou).all())


@few
@given(oracle.box_sets(count=4, smallest=1), oracle.box_sets(count=4, smallest=1))
def test_overlap_is_symmetric(a: Tensor, b: Tensor) -> None:
    for kind in KINDS:
        torch.testing.assert_close(paired_iou(a, b, kind), paired_iou(b, a, kind))
    assert torch.equal(box_iou(a, b), box_iou(b, a).T)


@few
@given(
    oracle.box_sets(count=4, smallest=1),
    oracle.box_sets(count=4, smallest=1),
    st.sampled_from((0.5, 2.0, 8.0)),
    st.integers(-512, 512),
)
def test_overlap_does_not_depend_on_scale_or_place(a: Tensor, b: Tensor, scale: float, shift: int) -> None:
    for kind in KINDS:
        moved = paired_iou(a * scale + shift, b * scale + shift, kind)
        torch.testing.assert_close(moved, paired_iou(a, b, kind), atol=1e-4, rtol=0)


@few
@given(oracle.box_sets(count=3, smallest=1))
def test_a_box_overlaps_itself_wholly(a: Tensor) -> None:
    for kind in KINDS:
        assert torch.equal(paired_iou(a, a, kind), torch.ones(3))
    assert torch.equal(box_iou(a, a).diagonal(), torch.ones(3))


def test_only_iou_has_no_gradient_between_boxes_that_do_not_meet() -> None:
    for kind in KINDS:
        a = torch.tensor([[0.0, 0, 2, 2]], requires_grad=True)
        paired_iou(a, torch.tensor([[5.0, 5, 7, 9]]), kind).sum().backward()
        assert (a.grad.abs().sum() > 0) == (kind != "iou"), kind


def test_diou_pulls_a_contained_box_to_the_centre_where_giou_does_not() -> None:
    outer = torch.tensor([[0.0, 0, 10, 10]])
    for kind, pulls in (("giou", False), ("diou", True)):
        a = torch.tensor([[1.0, 3, 3, 5]], requires_grad=True)
        paired_iou(a, outer, kind).sum().backward()
        assert (abs(a.grad[0, 0] + a.grad[0, 2]) > 1e-4) == pulls, "growing apart, moving is the sum of both sides"


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_degenerate_boxes_are_finite(kind) -> None:
    a = torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 6], [6, 6, 2, 2], [0, 0, 0, 0]], requires_grad=True)
    b = torch.tensor([[1.0, 1, 5, 5], [1, 1, 5, 5], [1, 1, 5, 5], [0, 0, 0, 0]])
    paired_iou(a, b, kind).sum().backward()
    assert bool(torch.isfinite(a.grad).all())


def test_the_weight_of_the_aspect_term_takes_no_gradient() -> None:
    """Its derivative is the spec's: d v / d w = 8 / pi² (angle of the truth - angle) * -h / (w² + h²), times alpha."""
    a = torch.tensor([[0.0, 0, 4, 2]], requires_grad=True)
    b = torch.tensor([[0.0, 0, 3, 3]])
    (slope_c,) = torch.autograd.grad(paired_iou(a, b, "ciou").sum(), a)
    (slope_d,) = torch.autograd.grad(paired_iou(a, b, "diou").sum(), a)
    angle = math.atan(1) - math.atan(2)
    v = 4 / math.pi**2 * angle**2
    alpha = v / (1 - oracle.iou((0, 0, 4, 2), (0, 0, 3, 3)) + v)
    slope = 8 / math.pi**2 * angle * -2 / (4**2 + 2**2)
    assert (slope_c - slope_d)[0, 2].item() == pytest.approx(-alpha * slope, rel=1e-4)


def test_clip_keeps_each_box_in_its_own_image() -> None:
    boxes = torch.tensor([[-5.0, -5, 300, 300], [10, 20, 30, 40], [400, 400, 500, 500]]).repeat(2, 1, 1)
    clipped = clip_boxes(boxes, torch.tensor([[100, 200], [50, 25]]))
    assert clipped[0].tolist() == [[0, 0, 200, 100], [10, 20, 30, 40], [200, 100, 200, 100]]
    assert clipped[1].tolist() == [[0, 0, 25, 50], [10, 20, 25, 40], [25, 50, 25, 50]]
    deeper = clip_boxes(boxes[:, :, None], torch.tensor([[100, 200], [50, 25]]))
    assert torch.equal(deeper[:, :, 0], clipped)


@few
@given(oracle.box_sets(), st.integers(1, 80), st.integers(1, 80))
def test_clipping_twice_is_clipping_once(boxes: Tensor, height: int, width: int) -> None:
    size = torch.tensor([[height, width]])
    once = clip_boxes(boxes[None], size)
    assert torch.equal(clip_boxes(once, size), once)
    assert bool(((once[..., :2] <= once[..., 2:]) & (once[..., :2] >= 0)).all())


def test_delta_code_equals_its_formula_and_torchvision() -> None:
    anchors, boxes = oracle.random_boxes(50, 200, seed=0), oracle.random_boxes(50, 200, seed=1)
    stds = (0.1, 0.1, 0.2, 0.2)
    coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    deltas = encode_deltas(anchors, boxes, stds)
    torch.testing.assert_close(deltas, coder.encode_single(boxes, anchors), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        decode_deltas(anchors, deltas, stds), coder.decode_single(deltas, anchors), atol=1e-4, rtol=1e-5
    )
    expected = []
    for (x1, y1, x2, y2), (u1, v1, u2, v2) in zip(anchors.tolist(), boxes.tolist(), strict=True):
        dx, dy = ((u1 + u2) - (x1 + x2)) / 2 / (x2 - x1), ((v1 + v2) - (y1 + y2)) / 2 / (y2 - y1)
        expected.append([dx, dy, math.log((u2 - u1) / (x2 - x1)), math.log((v2 - v1) / (y2 - y1))])
    torch.testing.assert_close(encode_deltas(anchors, boxes), torch.tensor(expected), atol=1e-5, rtol=1e-5)


@few
@given(oracle.box_sets(count=5, smallest=4), oracle.box_sets(count=5, smallest=4))
def test_decoding_undoes_encoding(anchors: Tensor, boxes: Tensor) -> None:
    ratio = (boxes[:, 2:] - boxes[:, :2]) / (anchors[:, 2:] - anchors[:, :2])
    assume(bool((ratio.log().abs() < LOG_RATIO_LIMIT).all()))  # beyond it decoding holds back, on purpose
    for stds in ((1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)):
        torch.testing.assert_close(
            decode_deltas(anchors, encode_deltas(anchors, boxes, stds), stds), boxes, atol=1e-3, rtol=1e-5
        )


def test_zero_deltas_are_the_anchors_and_large_ones_are_held() -> None:
    anchor = torch.tensor([[8.0, 16, 24, 24]])
    assert torch.equal(decode_deltas(anchor, torch.zeros(1, 4)), anchor)
    large, small = decode_deltas(anchor.expand(2, 4), torch.tensor([[0.0, 0, 99, 99], [0, 0, -99, -99]]))
    assert (large[2:] - large[:2]).tolist() == pytest.approx([1000, 500], rel=1e-5)
    assert (small[2:] - small[:2]).tolist() == pytest.approx([16 * 16 / 1000, 8 * 16 / 1000], rel=1e-4)
    for box in (large, small):
        assert ((box[2:] + box[:2]) / 2).tolist() == pytest.approx([16, 20], rel=1e-4), "the centre stays"
    assert math.exp(LOG_RATIO_LIMIT) * 16 == pytest.approx(1000)


def test_decoding_broadcasts_one_anchor_over_classes_in_float32() -> None:
    anchors = oracle.random_boxes(3, 50, seed=0)
    deltas = torch.randn(2, 3, 7, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    boxes = decode_deltas(anchors[None, :, None], deltas)
    assert boxes.shape == (2, 3, 7, 4)
    assert boxes.dtype == torch.float32
    torch.testing.assert_close(boxes[1, 2, 5], decode_deltas(anchors[2], deltas[1, 2, 5].float()))


@few
@given(oracle.box_sets(count=4), st.integers(-64, 64), st.integers(-64, 64))
def test_distances_are_signed_and_undone(boxes: Tensor, x: int, y: int) -> None:
    point = torch.tensor([x, y], dtype=torch.float32).expand(4, 2)
    distances = encode_distances(point, boxes)
    assert torch.equal(decode_distances(point, distances), boxes)
    for d, (x1, y1, x2, y2) in zip(distances.tolist(), boxes.tolist(), strict=True):
        assert d == [x - x1, y - y1, x2 - x, y2 - y]
        assert (min(d) > 0) == (x1 < x < x2 and y1 < y < y2)


@few
@given(oracle.box_sets(count=4))
def test_centres_and_sizes_are_undone(boxes: Tensor) -> None:
    centres = xyxy_to_cxcywh(boxes)
    for (cx, cy, w, h), (x1, y1, x2, y2) in zip(centres.tolist(), boxes.tolist(), strict=True):
        assert (cx, cy, w, h) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), abs=1e-4)
    torch.testing.assert_close(cxcywh_to_xyxy(centres), boxes, atol=1e-3, rtol=1e-6)
