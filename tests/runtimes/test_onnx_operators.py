"""The library's own operators as ONNX computes them: equal to torch's, whatever the boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from baimu.layers.ragged import run_lstm
from baimu.ops.nms import keep_best
from baimu.ops.roi import roi_align
from baimu.runtimes.onnx import to_onnx
from baimu.semantic_segmentation.unet import input_side, mirrored

B, N, K = 2, 24, 3


class Asks(nn.Module):
    def __init__(self, ask: Callable[..., Tensor]) -> None:
        super().__init__()
        self.ask = ask

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.ask(*inputs)


def in_onnx(module: nn.Module, inputs: tuple[Tensor, ...], shapes: Any) -> Callable[..., Tensor]:
    """``module`` without gradients as ONNX Runtime runs it."""
    with torch.no_grad():
        program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes, strict=False)
    proto = to_onnx(program, [f"input{i}" for i in range(len(inputs))], ["output"])
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> Tensor:
        named = zip((one.name for one in session.get_inputs()), given, strict=True)
        return torch.from_numpy(session.run(None, {name: x.numpy() for name, x in named})[0])

    return run


@pytest.fixture(scope="module")
def suppress() -> Callable[..., Tensor]:
    example = boxes_at_random(torch.Generator().manual_seed(0))
    shapes = tuple({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO} for _ in example)
    return in_onnx(Asks(lambda boxes, scores, groups: keep_best(boxes, scores, groups, 0.5)), example, (shapes,))


def boxes_at_random(draw: torch.Generator, count: int = N, batch: int = B) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes on whole pixels of a small image, so that many overlap."""
    corner = torch.randint(0, 10, (batch, count, 2), generator=draw).float()
    side = torch.randint(1, 16, (batch, count, 2), generator=draw).float()
    scores = torch.rand(batch, count, generator=draw)
    groups = torch.randint(0, K, (batch, count), generator=draw)
    return torch.cat([corner, corner + side], 2), scores, groups


@pytest.mark.parametrize("seed", range(8))
def test_suppression_keeps_the_same_boxes(suppress: Callable[..., Tensor], seed: int) -> None:
    inputs = boxes_at_random(torch.Generator().manual_seed(seed), count=N + 9 * seed, batch=1 + seed % 3)
    wanted = keep_best(*inputs, 0.5)
    assert 0 < (wanted > 0).sum() < wanted.numel()
    assert torch.equal(suppress(*inputs), wanted)


def test_of_equal_scores_the_earlier_box_stays(suppress: Callable[..., Tensor]) -> None:
    boxes, _, groups = boxes_at_random(torch.Generator().manual_seed(1))
    scores = (torch.rand(B, N, generator=torch.Generator().manual_seed(2)) * 4).ceil() / 4  # four different ones
    wanted = keep_best(boxes, scores, groups, 0.5)
    assert torch.equal(suppress(boxes, scores, groups), wanted)
    same = boxes[:, :1].expand(-1, N, -1).contiguous()
    ones = torch.ones(B, N)
    found = suppress(same, ones, torch.zeros(B, N, dtype=torch.int64))
    assert found[:, 0].tolist() == [1.0] * B
    assert found[:, 1:].sum() == 0


def test_an_overlap_of_exactly_the_threshold_stays(suppress: Callable[..., Tensor]) -> None:
    boxes = torch.tensor([[[0.0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 2, 2], [50, 50, 51, 51]]])  # IoU of the first two: 1/2
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    groups = torch.zeros(1, 4, dtype=torch.int64)
    assert suppress(boxes, scores, groups).tolist() == keep_best(boxes, scores, groups, 0.5).tolist()
    assert (suppress(boxes, scores, groups) > 0).tolist() == [[True, True, False, True]]


def test_a_class_suppresses_no_other_and_a_class_may_be_empty(suppress: Callable[..., Tensor]) -> None:
    boxes = torch.tensor([[3.0, 3, 9, 9]]).expand(B, N, 4).contiguous()
    scores = torch.linspace(0.1, 0.9, N).expand(B, N).contiguous()
    groups = (torch.arange(N) % 2 * 7).expand(B, N).contiguous()  # classes 0 and 7; none between
    found = suppress(boxes, scores, groups)
    assert torch.equal(found, keep_best(boxes, scores, groups, 0.5))
    assert (found > 0).sum(1).tolist() == [2] * B


def test_nothing_is_kept_of_nothing(suppress: Callable[..., Tensor]) -> None:
    boxes, scores, groups = boxes_at_random(torch.Generator().manual_seed(3))
    assert suppress(boxes, torch.zeros_like(scores), groups).abs().sum() == 0
    scores[0] = 0  # an image without candidates beside one that has some
    found = suppress(boxes, scores, groups)
    assert torch.equal(found, keep_best(boxes, scores, groups, 0.5))
    assert found[0].sum() == 0
    assert found[1].sum() > 0


def test_boxes_that_are_not_finite_take_no_part(suppress: Callable[..., Tensor]) -> None:
    boxes, scores, groups = boxes_at_random(torch.Generator().manual_seed(4))
    boxes[0, 0, 2], boxes[0, 1, 0], boxes[1, 5] = torch.inf, -torch.inf, torch.nan
    scores[0, :2] = scores[1, 5] = 1.0
    found = suppress(boxes, scores, groups)
    assert torch.equal(found, keep_best(boxes, scores, groups, 0.5))
    assert found[0, :2].tolist() == [0, 0]
    assert found[1, 5] == 0


def test_boxes_of_no_area_and_of_one_pixel(suppress: Callable[..., Tensor]) -> None:
    boxes = torch.tensor(
        [[[5.0, 5, 6, 6], [5, 5, 6, 6], [7, 7, 7, 9], [7, 7, 7, 9], [8, 8, 8, 8], [1e6, 1e6, 1e6 + 1, 1e6 + 1]]]
    )
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    groups = torch.zeros(1, 6, dtype=torch.int64)
    assert torch.equal(suppress(boxes, scores, groups), keep_best(boxes, scores, groups, 0.5))


STRIDES = (8.0, 16.0)


@pytest.mark.parametrize(("sampling_ratio", "aligned"), [(2, True), (0, True), (2, False), (0, False)])
def test_rois_pool_the_same_from_their_levels(sampling_ratio: int, aligned: bool) -> None:
    def pool(fine: Tensor, coarse: Tensor, rois: Tensor, levels: Tensor) -> Tensor:
        return roi_align([fine, coarse], rois, levels, STRIDES, 3, sampling_ratio, aligned)

    inputs = rois_at_random(torch.Generator().manual_seed(0))
    shapes = tuple({i: torch.export.Dim.AUTO for i in range(x.ndim) if i != 1 or x.ndim < 4} for x in inputs)
    shapes = (*shapes[:2], {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}, shapes[3])
    run = in_onnx(Asks(pool), inputs, (shapes,))
    for seed, levels in ((1, None), (2, 0), (3, 1)):  # the last two: a level without any RoI
        given = rois_at_random(torch.Generator().manual_seed(seed), count=4 + seed, batch=seed, cells=9 + seed)
        if levels is not None:
            given = (*given[:3], torch.full_like(given[3], levels))
        with torch.no_grad():
            wanted = pool(*given)
        torch.testing.assert_close(run(*given), wanted, rtol=1e-4, atol=1e-5)


def rois_at_random(
    draw: torch.Generator, count: int = 5, batch: int = 2, cells: int = 11
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two maps, RoIs of one pixel up to the whole image, some of them beyond its border, and their levels."""
    fine = torch.randn(batch, 6, cells, cells + 3, generator=draw)
    coarse = torch.randn(batch, 6, cells // 2, cells // 2 + 2, generator=draw)
    corner = torch.rand(batch, count, 2, generator=draw) * 60 - 8
    side = torch.rand(batch, count, 2, generator=draw) * 60 + 1
    side[:, 0] = 1.0
    levels = torch.randint(0, 2, (batch, count), generator=draw)
    return fine, coarse, torch.cat([corner, corner + side], 2), levels


def test_an_lstm_keeps_its_states_whatever_the_length() -> None:
    torch.manual_seed(0)

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 4, batch_first=True)

        def forward(self, sequence: Tensor) -> Tensor:
            return run_lstm(self.lstm, sequence)

    reads = Reads()
    run = in_onnx(reads, (torch.randn(2, 7, 5),), ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},))
    for batch, steps in ((1, 1), (3, 20)):
        sequence = torch.randn(batch, steps, 5)
        with torch.no_grad():
            wanted = reads.lstm(sequence)[0]
        np.testing.assert_allclose(run(sequence).numpy(), wanted.numpy(), atol=1e-5)


def test_pictures_mirrored_around_a_free_size() -> None:
    """A remainder by a size, and a size rounded up to a multiple."""

    def mirror(images: Tensor) -> Tensor:
        side = images.shape[3]
        return images.index_select(3, mirrored(side, input_side(side), images.device))

    run = in_onnx(Asks(mirror), (torch.rand(2, 3, 4, 53),), (({0: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},),))
    for side in (16, 60, 61, 200):
        images = torch.rand(1, 3, 4, side)
        assert torch.equal(run(images), mirror(images))


def test_a_norm_of_another_order_is_refused() -> None:
    from baimu.runtimes.onnx_operators import vector_norm

    with pytest.raises(NotImplementedError, match="order 1"):
        vector_norm(None, ord=1.0, dim=[1])
