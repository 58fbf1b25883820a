"""ONNX for the operators of :mod:`baimu.ops` that are one operator to a graph. Imports onnxscript."""

from __future__ import annotations

from typing import Any

import torch
from onnxscript import opset18

from baimu.runtimes.operators import operators

op: Any = opset18


def keep_best(boxes: Any, scores: Any, groups: Any, iou_threshold: float) -> Any:
    """:func:`baimu.ops.nms.keep_best`: ONNX's own NMS over the groups as its classes, so that no offset of boxes costs
    a bit of any IoU."""
    zero = op.Constant(value_float=0.0)
    total = op.ReduceSum(boxes, op.Constant(value_ints=[-1]), keepdims=0)
    finite = op.Equal(op.Sub(total, total), zero)  # nan otherwise; MNN has neither IsNaN nor IsInf
    scores = op.Where(op.And(finite, op.Greater(scores, zero)), scores, zero)
    boxes = op.Where(op.Unsqueeze(finite, op.Constant(value_ints=[2])), boxes, zero)
    one = op.Constant(value_int=1)
    number = op.Range(op.Constant(value_int=0), op.Add(op.ReduceMax(groups, keepdims=0), one), one)
    number = op.Unsqueeze(number, op.Constant(value_ints=[0, 2]))
    of_group = op.Equal(op.Unsqueeze(groups, op.Constant(value_ints=[1])), number)
    of_group = op.Where(of_group, op.Unsqueeze(scores, op.Constant(value_ints=[1])), zero)
    most = op.Shape(scores, start=1, end=2)
    threshold = op.Constant(value_floats=[iou_threshold])
    kept = op.NonMaxSuppression(boxes, of_group, most, threshold, op.Constant(value_floats=[0.0]))
    place = op.Gather(kept, op.Constant(value_ints=[0, 2]), axis=1)
    return op.ScatterND(op.Mul(scores, zero), place, op.GatherND(scores, place))


def roi_align(
    features: Any, rois: Any, levels: Any, strides: Any, output_size: int, sampling_ratio: int, aligned: bool
) -> Any:
    """:func:`baimu.ops.roi.roi_align`: of each level the RoIs that are its own."""
    mode = "half_pixel" if aligned else "output_half_pixel"
    count, batch = op.Shape(rois, start=1, end=2), op.Shape(rois, start=0, end=1)
    channels, side = op.Shape(features[0], start=1, end=2), op.Constant(value_ints=[output_size, output_size])
    boxes, level = op.Reshape(rois, op.Constant(value_ints=[-1, 4])), op.Reshape(levels, op.Constant(value_ints=[-1]))
    every = op.Mul(count, batch)
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    image = op.Div(op.Range(zero, op.Squeeze(every), one), count)
    pooled = op.Expand(op.Constant(value_float=0.0), op.Concat(every, channels, side, axis=0))
    for number, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        here = op.Transpose(op.NonZero(op.Equal(level, op.Constant(value_int=number))), perm=[1, 0])
        which = op.Squeeze(here, op.Constant(value_ints=[1]))
        part = op.RoiAlign(
            feature,
            op.Gather(boxes, which),
            op.Gather(image, which),
            coordinate_transformation_mode=mode,
            mode="avg",
            output_height=output_size,
            output_width=output_size,
            sampling_ratio=sampling_ratio,
            spatial_scale=1.0 / stride,
        )
        pooled = op.ScatterND(pooled, here, part)
    return op.Reshape(pooled, op.Concat(batch, count, channels, side, axis=0))


def lstm(sequence: Any, weights: Any) -> Any:
    """:func:`baimu.layers.ragged.run_lstm`; torch's gates come as input, forget, cell, output, ONNX's as input, output,
    forget, cell."""
    first = op.Constant(value_ints=[0])

    def ordered(x: Any, axis: int = 0) -> Any:
        i, f, c, o = op.Split(x, num_outputs=4, axis=axis)
        return op.Concat(i, o, f, c, axis=axis)

    into, again, bias, other = (ordered(x) for x in weights)
    bias = op.Concat(bias, other, axis=0)
    steps = op.Transpose(sequence, perm=[1, 0, 2])
    states, _, _ = op.LSTM(
        steps,
        op.Unsqueeze(into, first),
        op.Unsqueeze(again, first),
        op.Unsqueeze(bias, first),
        hidden_size=weights[1].shape[1],
    )
    return op.Transpose(op.Squeeze(states, op.Constant(value_ints=[1])), perm=[1, 0, 2])


def vector_norm(x: Any, ord: float = 2.0, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """torch's, of order 2 over some axes, by multiplication and a sum: MNN's own takes the sum over the batch too."""
    if ord != 2 or dim is None or dtype is not None:
        raise NotImplementedError(f"a norm of order {ord} over {dim}")
    return op.Sqrt(op.ReduceSum(op.Mul(x, x), op.Constant(value_ints=list(dim)), keepdims=int(keepdim)))


def remainder(x: Any, other: Any) -> Any:
    """Of whole numbers, with the sign of ``other``, which may be a size that is free."""
    return op.Mod(x, other)


def table() -> dict[Any, Any]:
    """For ``custom_translation_table`` of torch's exporter."""
    own = dict(zip(operators(), (keep_best, roi_align, lstm), strict=True))
    aten = torch.ops.aten
    return {**own, aten.linalg_vector_norm.default: vector_norm, aten.remainder.Scalar: remainder}
