"""RoI align over a feature pyramid. Dims: B images, R RoIs an image, L levels, S sampling points in all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Float, Int
from torch import Tensor


def roi_levels(rois: Float[Tensor, "*r 4"], levels: int, finest_size: float = 56.0) -> Int[Tensor, "*r"]:
    """Pyramid level 0…levels−1 of each RoI: ``floor(log2(sqrt(area) / finest_size))`` (Eq. 1 of 1612.03144)."""
    side = ((rois[..., 2] - rois[..., 0]) * (rois[..., 3] - rois[..., 1])).clamp(min=0).sqrt()
    return torch.floor(torch.log2(side / finest_size + 1e-6)).clamp(0, levels - 1).long()


def roi_align(
    features: Sequence[Float[Tensor, "b c _h _w"]],
    rois: Float[Tensor, "b r 4"],
    levels: Int[Tensor, "b r"],
    strides: Sequence[float],
    output_size: int,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Float[Tensor, "b r c s s"]:
    """Features of each RoI from its level, by bilinear sampling averaged over bins (Mask R-CNN, 1703.06870 §3).

    ``rois`` are xyxy input pixels. ``sampling_ratio`` points a bin and axis; 0 takes as many as the bin has cells.
    ``aligned`` shifts by half a cell, so that a RoI on the cell borders reads those cells exactly.

    Without gradients it is one operator, ``baimu::roi_align``, to whatever makes a graph of a model.
    """
    align = _roi_align if torch.is_grad_enabled() else _roi_align_operator
    return align(list(features), rois, levels, list(strides), output_size, sampling_ratio, aligned)


def _roi_align(features, rois, levels, strides, output_size, sampling_ratio, aligned) -> Tensor:
    if features[0].is_cuda:
        return _roi_align_by_level(features, rois, levels, strides, output_size, sampling_ratio, aligned)
    return _roi_align_by_gather(features, rois, levels, strides, output_size, sampling_ratio, aligned)


_roi_align_operator = torch.library.custom_op(
    "baimu::roi_align",
    _roi_align,
    mutates_args=(),
    schema="(Tensor[] features, Tensor rois, Tensor levels, float[] strides, int output_size, int sampling_ratio, "
    "bool aligned) -> Tensor",
)


@_roi_align_operator.register_fake
def _(features, rois, levels, strides, output_size, sampling_ratio, aligned) -> Tensor:
    shape, channels = (*rois.shape[:2], output_size, output_size), features[0].shape[1]
    if features[0].is_cuda:
        return features[0].new_empty(*shape[:2], channels, *shape[2:])
    return features[0].new_empty(*shape, channels).permute(0, 1, 4, 2, 3)  # compilers rely on the strides


def _roi_align_by_level(features, rois, levels, strides, output_size, sampling_ratio, aligned) -> Tensor:
    batch, count = rois.shape[:2]
    image = torch.arange(batch, device=rois.device, dtype=rois.dtype)[:, None, None].expand(-1, count, 1)
    indexed = torch.cat([image, rois], -1)
    pooled = features[0].new_zeros(batch, count, features[0].shape[1], output_size, output_size)
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        here = levels == level
        pooled[here] = torchvision.ops.roi_align(
            feature, indexed[here].to(feature.dtype), output_size, 1 / stride, sampling_ratio, aligned
        )
    return pooled


def _roi_align_by_gather(features, rois, levels, strides, output_size, sampling_ratio, aligned) -> Tensor:
    """One weighted gather over all levels: the maps, channels last, are one table of cells, and each bin is a bag
    of cells with bilinear weights. On a CPU this is several times faster than a kernel that walks channel planes.
    """
    batch, channels = features[0].shape[:2]
    table = torch.cat([f.permute(0, 2, 3, 1).reshape(-1, channels) for f in features])
    heights, widths, starts = [], [], [0]
    for f in features:
        heights.append(f.shape[2])
        widths.append(f.shape[3])
        starts.append(starts[-1] + batch * f.shape[2] * f.shape[3])
    level = levels.reshape(-1)
    per_level = torch.tensor([heights, widths, starts[:-1]], device=rois.device)
    height, width, start = per_level[:, level]
    image = torch.arange(batch, device=rois.device).repeat_interleave(rois.shape[1])
    cells = start + image * height * width
    scale = 1 / torch.tensor(strides, device=rois.device, dtype=torch.float32)[level]
    boxes = rois.detach().reshape(-1, 4).float() * scale[:, None] - (0.5 if aligned else 0.0)

    size = boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        size = size.clamp(min=1)
    if sampling_ratio > 0:
        samples = torch.full_like(size, sampling_ratio, dtype=torch.int64)
    else:
        samples = (size / output_size).ceil().clamp(min=0).long()  # an empty RoI has no point and pools to 0
    across, down = samples.unbind(1)
    count = across * down
    # every sampling point of every bin of every RoI, in order: which RoI, bin and place in the bin it is
    roi = torch.repeat_interleave(count * output_size**2)
    first = (count.cumsum(0) - count) * output_size**2
    place = torch.arange(roi.shape[0], device=rois.device) - first[roi]
    place, i = place // across[roi], place % across[roi]
    place, j = place // down[roi], place % down[roi]
    bin_y, bin_x = place // output_size, place % output_size
    step = size / output_size
    x = boxes[roi, 0] + (bin_x + (i + 0.5) / across[roi]) * step[roi, 0]
    y = boxes[roi, 1] + (bin_y + (j + 0.5) / down[roi]) * step[roi, 1]
    x0, x1, wx0, wx1 = _corners(x, width[roi])
    y0, y1, wy0, wy1 = _corners(y, height[roi])
    share = 1.0 / count[roi]
    wy0, wy1 = wy0 * share, wy1 * share
    row0, row1 = cells[roi] + y0 * width[roi], cells[roi] + y1 * width[roi]
    index = torch.stack([row0 + x0, row0 + x1, row1 + x0, row1 + x1], 1).reshape(-1)
    weight = torch.stack([wy0 * wx0, wy0 * wx1, wy1 * wx0, wy1 * wx1], 1).reshape(-1)

    per_bin = (4 * count).repeat_interleave(output_size**2)
    pooled = F.embedding_bag(
        index, table, per_bin.cumsum(0) - per_bin, mode="sum", per_sample_weights=weight.to(table.dtype)
    )
    pooled = pooled.reshape(batch, rois.shape[1], output_size, output_size, channels)
    return pooled.permute(0, 1, 4, 2, 3)


def _corners(at: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two cells around a coordinate and their weights; more than one cell outside the map weighs nothing."""
    inside = (at >= -1) & (at <= limit)
    at = torch.minimum(at.clamp(min=0), limit - 1)
    low = at.long()
    high = torch.minimum(low + 1, limit - 1)
    share = at - low
    return low, high, (1 - share) * inside, share * inside
