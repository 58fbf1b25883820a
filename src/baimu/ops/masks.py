"""Instance masks. Dims: N masks of H x W pixels, R RoIs, S x S cells of a mask that spans its box."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchvision
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CHUNK = 1 << 26
"""Float32 pixels held at a time by what follows: 256 MiB."""


def masks_to_boxes(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """Tight xyxy bounds in continuous pixels: pixel (x, y) covers [x, x+1] x [y, y+1]. An empty mask gives zeros."""
    count, height, width = masks.shape
    bounds = []
    for hit, length in ((masks.any(1), width), (masks.any(2), height)):
        place = torch.arange(length, device=masks.device).expand(count, -1)
        bounds.append((place.masked_fill(~hit, length).amin(1), place.masked_fill(~hit, -1).amax(1) + 1))
    (x1, x2), (y1, y2) = bounds
    return torch.stack([x1, y1, x2, y2], 1).float() * masks.flatten(1).any(1)[:, None]


def mask_iou(a: Bool[Tensor, "n h w"], b: Bool[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    """Pairwise IoU of masks by pixel counts, 0 where both are empty."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    overlap = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None, :] - overlap
    return overlap / union.clamp(min=1)


def paste_masks(
    masks: Float[Tensor, "n s s"], boxes: Float[Tensor, "n 4"], size: tuple[int, int], threshold: float = 0.5
) -> Bool[Tensor, "n h w"]:
    """Masks on a grid that spans their box, as pixels of an image of ``size`` (height, width).

    A pixel belongs where the mask, interpolated bilinearly at the pixel's centre with zeros around the grid, is at
    least ``threshold`` (> 0). This is mmdetection's ``_do_paste_mask``, but that a box without area takes no pixel.
    ``boxes`` are xyxy in pixels of that image and may reach beyond it. The result is on the device of ``masks``;
    beside it 256 MiB are used at most.
    """
    masks, boxes = masks.float(), boxes.float()
    pasted = torch.zeros(len(masks), *size, dtype=torch.bool, device=masks.device)
    paste = _paste_regions if masks.device.type == "cpu" else _paste_chunks
    with torch.autocast(masks.device.type, enabled=False):  # a pixel near the threshold needs all the digits
        paste(masks, boxes, threshold, pasted)
    return pasted


def mask_changes(masks: Bool[Tensor, "n h w"]) -> Int[Tensor, " c"]:
    """Where masks begin and end along their columns, as :meth:`~baimu.masks.Masks.from_changes` takes it: ascending
    places in the flattened tensor whose pixel differs from the one above, or at the top from the end of the column
    before; the first pixel counts where it is set."""
    before = masks.roll(1, 1)
    if masks.numel():
        before[:, 0, 1:] = masks[:, -1, :-1]
        before[:, 0, 0] = False
    return (masks != before).flatten().nonzero()[:, 0]


def roi_mask_targets(
    masks: Sequence[Bool[Tensor, "_n h w"]],
    boxes: Float[Tensor, "r 4"],
    owner: Int[Tensor, " r"],
    image: Int[Tensor, " r"],
    size: int = 28,
) -> Float[Tensor, "r {size} {size}"]:
    """What a mask head is to say of each RoI: its object's mask inside the box on a grid of size x size, 0 or 1.

    ``masks`` are those of :class:`~baimu.targets.Targets`: RoI r belongs to object ``owner[r]`` of image ``image[r]``.
    A cell is 1 where the mean of the mask over it is at least a half, as in mmdetection's
    ``BitmapMasks.crop_and_resize``: RoI align with half-pixel shift and as many sampling points as the cell has
    pixels. ``boxes`` are xyxy in pixels of the masks; one without area gives zeros.
    """
    targets = boxes.new_zeros(len(boxes), size, size, dtype=torch.float32)
    counts = torch.tensor([0, *(len(m) for m in masks)], device=boxes.device)
    index, row = torch.unique(counts.cumsum(0)[image] + owner, return_inverse=True)
    if not len(index):
        return targets
    bitmaps = torch.cat(list(masks))
    height, width = bitmaps.shape[1:]
    step = max(1, _CHUNK // max(1, height * width))
    for first in range(0, len(index), step):
        mine = (row >= first) & (row < first + step)
        rois = torch.cat([(row[mine] - first)[:, None].float(), boxes[mine].float()], 1)
        bitmap = bitmaps[index[first : first + step], None].float()
        means = torchvision.ops.roi_align(bitmap, rois, size, 1.0, 0, aligned=True)
        targets[mine] = (means[:, 0] >= 0.5).float()
    return targets


def _paste_regions(masks: Tensor, boxes: Tensor, threshold: float, pasted: Tensor) -> None:
    """One object after the other, each within its reach: on a CPU pixels cost more than calls."""
    for i, (left, top, right, bottom) in enumerate(_reach(boxes, masks.shape[-1], *pasted.shape[1:])):
        rows, columns = torch.arange(top, bottom), torch.arange(left, right)
        values = _spread(masks[i : i + 1], boxes[i : i + 1], rows, columns)
        torch.ge(values[0], threshold, out=pasted[i, top:bottom, left:right])


def _paste_chunks(masks: Tensor, boxes: Tensor, threshold: float, pasted: Tensor) -> None:
    """Many objects at once, each over the whole image: on a GPU calls cost more than pixels."""
    height, width = pasted.shape[1:]
    rows, columns = torch.arange(height, device=masks.device), torch.arange(width, device=masks.device)
    step = max(1, _CHUNK // max(1, height * width))
    for mask, box, part in zip(masks.split(step), boxes.split(step), pasted.split(step), strict=True):
        torch.ge(_spread(mask, box, rows, columns), threshold, out=part)


def _spread(masks: Tensor, boxes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(n, h, w) values of the masks at the centres of these pixels: bilinear interpolation is a product of tents."""
    down = _tents(rows, boxes[:, 1:2], boxes[:, 3:4], masks.shape[1])
    across = _tents(columns, boxes[:, 0:1], boxes[:, 2:3], masks.shape[2])
    return down @ masks @ across.mT


def _tents(pixels: Tensor, start: Tensor, end: Tensor, cells: int) -> Tensor:
    """(n, P, cells) share that each cell has in the value at each pixel; nothing where the box is empty."""
    length = end - start
    place = (pixels + 0.5 - start) / length.where(length > 0, 1.0) * cells - 0.5
    cell = torch.arange(cells, device=pixels.device)
    return (1 - (place[..., None] - cell).abs()).clamp(min=0) * (length > 0)[..., None]


def _reach(boxes: Tensor, cells: int, height: int, width: int) -> list[list[int]]:
    """Pixels (left, top, right, bottom) of the image outside which a mask on this box is 0: half a cell around it."""
    start, end = boxes[:, :2], boxes[:, 2:]
    margin = (end - start).clamp(min=0) / (2 * cells)
    limit = torch.tensor([width, height])
    first = (start - margin - 0.5).floor().clamp(min=0).minimum(limit)
    last = (end + margin + 0.5).ceil().minimum(limit).maximum(first)
    return torch.cat([first, last], 1).long().tolist()
