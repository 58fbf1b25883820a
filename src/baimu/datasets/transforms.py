"""Resizing and augmentation of a picture with its boxes and masks. Random ones take an explicit numpy generator.

Boxes follow in continuous coordinates, masks by nearest pixel. After a crop, objects of which too little is left are
dropped, and the box of one that was cut is what is left of it: the smallest around its mask where it has one, else the
part of the old box. A sample without objects is a sample like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from baimu.datasets.color import color_jitter
from baimu.ops.masks import masks_to_boxes
from baimu.preprocess import Frame, Interpolation, Preprocess
from baimu.recipes import Recipe

MIN_VISIBLE = 0.25
"""A cropped object stays when at least this share of its box does."""

SMALLEST_CROP = 0.6
"""A random crop keeps at least this share of each side."""

WHOLE = 1 << 26
"""Pixels to which an image is scaled as a whole before the middle is cut out of it: one of 1 x 65535 would become
billions. Of such a one the middle alone is scaled, and pixels beyond its edge are not looked at."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, eq=False)
class Sample:
    """RGB uint8 (H, W, 3); boxes (n, 4) float32 xyxy; labels (n,) int64; masks (n, H, W) bool or None."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.image.shape[0], self.image.shape[1]

    def take(self, keep: np.ndarray) -> Sample:
        """The same picture with some of its objects."""
        masks = None if self.masks is None else self.masks[keep]
        return replace(self, boxes=self.boxes[keep], labels=self.labels[keep], masks=masks)


def resize_image(image: np.ndarray, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> np.ndarray:
    """With antialiasing, as torchvision's ``resize`` of an image; ``size`` is (height, width)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), RESAMPLING[interpolation]))


def to_input(image: np.ndarray, preprocess: Preprocess) -> tuple[np.ndarray, Frame]:
    """The part of ``image`` that the network gets, as uint8 at its input size without padding, and where it lies."""
    frame = preprocess.frame(*image.shape[:2])
    top, left = max(0, -frame.top), max(0, -frame.left)
    if math.prod(frame.scaled) > WHOLE:
        seen = np.array([left, top, left + frame.size[1], top + frame.size[0]]) / ([frame.scale_x, frame.scale_y] * 2)
        size, how = (frame.size[1], frame.size[0]), RESAMPLING[preprocess.interpolation]
        return np.asarray(Image.fromarray(image).resize(size, how, box=tuple(seen.tolist()))), frame
    scaled = resize_image(image, frame.scaled, preprocess.interpolation)
    return scaled[top : top + frame.size[0], left : left + frame.size[1]], frame


def resize_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, H, W) to ``size`` (height, width), by the pixel in which the new one's centre lies."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(size, masks.shape[1:], strict=True)
    )
    return masks[:, rows][:, :, columns]


def resize(sample: Sample, size: tuple[int, int]) -> Sample:
    """To ``size`` (height, width)."""
    height, width = sample.size
    if (height, width) == size:
        return sample
    masks = None if sample.masks is None else resize_masks(sample.masks, size)
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    return replace(sample, image=resize_image(sample.image, size), boxes=sample.boxes * scale, masks=masks)


def flip(sample: Sample) -> Sample:
    """Left to right."""
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = sample.size[1] - sample.boxes[:, [2, 0]]
    masks = None if sample.masks is None else sample.masks[:, :, ::-1]
    return replace(sample, image=sample.image[:, ::-1], boxes=boxes, masks=masks)


def flip_vertical(sample: Sample) -> Sample:
    """Top to bottom."""
    boxes = sample.boxes.copy()
    boxes[:, [1, 3]] = sample.size[0] - sample.boxes[:, [3, 1]]
    masks = None if sample.masks is None else sample.masks[:, ::-1]
    return replace(sample, image=sample.image[::-1], boxes=boxes, masks=masks)


def crop(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """The window of that size inside the picture; objects less than :data:`MIN_VISIBLE` visible, or by less than a
    pixel, are dropped."""
    moved = sample.boxes - np.array([left, top, left, top], np.float32)
    boxes = moved.clip(0, np.array([width, height, width, height], np.float32))
    masks = None if sample.masks is None else sample.masks[:, top : top + height, left : left + width]
    visible = _areas(boxes) >= MIN_VISIBLE * _areas(moved)
    if masks is not None:  # a leaning pole that lost its foot is narrower than its old box
        cut = (boxes != moved).any(1)
        boxes[cut] = masks_to_boxes(torch.from_numpy(masks[cut])).numpy()
    keep = visible & _solid(boxes)
    image = sample.image[top : top + height, left : left + width]
    return replace(sample, image=image, boxes=boxes, masks=masks).take(keep)


def random_crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """A window of :data:`SMALLEST_CROP` to 1 of each side, anywhere."""
    height, width = (max(1, round(side * rng.uniform(SMALLEST_CROP, 1))) for side in sample.size)
    return _crop_anywhere(sample, (height, width), rng)


def fit(sample: Sample, preprocess: Preprocess, factor: float, rng: np.random.Generator) -> Sample:
    """To the network's input size times ``factor`` (scale jitter); what a fixed square cannot hold is cropped away."""
    height, width = sample.size
    if preprocess.resize == "none":
        return resize(sample, (max(1, round(height * factor)), max(1, round(width * factor))))
    scaled = preprocess.replace(
        size=max(1, round(preprocess.size * factor)), max_size=max(1, round(preprocess.max_size * factor))
    )
    sample = resize(sample, scaled.frame(height, width).size)
    if preprocess.resize == "shortest" or max(sample.size) <= preprocess.size:
        return sample
    return _crop_anywhere(sample, (min(sample.size[0], preprocess.size), min(sample.size[1], preprocess.size)), rng)


def mosaic(samples: list[Sample], size: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Four pictures around a random centre of a (height, width) canvas; each is cut to cover its quarter."""
    height, width = size
    middle_y, middle_x = (max(1, min(side - 1, round(side * rng.uniform(0.3, 0.7)))) for side in size)
    corners = ((0, 0), (0, middle_x), (middle_y, 0), (middle_y, middle_x))
    canvas = np.zeros((height, width, 3), np.uint8)
    with_masks = all(sample.masks is not None for sample in samples)
    parts = []
    for sample, (top, left) in zip(samples, corners, strict=True):
        tile = (middle_y if top == 0 else height - top, middle_x if left == 0 else width - left)
        scale = max(tile[0] / sample.size[0], tile[1] / sample.size[1]) * rng.uniform(1, 1.5)
        scaled = (max(tile[0], round(sample.size[0] * scale)), max(tile[1], round(sample.size[1] * scale)))
        part = _crop_anywhere(resize(sample, scaled), tile, rng)
        place = np.s_[top : top + tile[0], left : left + tile[1]]
        canvas[place] = part.image
        masks = None
        if with_masks and part.masks is not None:
            masks = np.zeros((len(part.boxes), height, width), bool)
            masks[:, *place] = part.masks
        parts.append(replace(part, boxes=part.boxes + np.array([left, top, left, top], np.float32), masks=masks))
    return _together(canvas, parts)


def mixup(sample: Sample, other: Sample, rng: np.random.Generator) -> Sample:
    """The picture blended with another, 0.4 to 0.6 of each, with the objects of both; the other is cut to its size."""
    height, width = (min(a, b) for a, b in zip(sample.size, other.size, strict=True))
    other = crop(other, 0, 0, height, width)
    share = int(rng.integers(102, 155))  # of 256
    image = sample.image.copy()
    mine, theirs = image[:height, :width].astype(np.uint16), other.image.astype(np.uint16)
    image[:height, :width] = (mine * share + theirs * (256 - share) + 128) >> 8
    if other.masks is not None:
        margin = ((0, 0), (0, sample.size[0] - height), (0, sample.size[1] - width))
        other = replace(other, masks=np.pad(other.masks, margin))
    return _together(image, [sample, other])


def augment(
    load: Callable[[int], Sample],
    index: int,
    count: int,
    preprocess: Preprocess,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    strong: bool = True,
) -> Sample:
    """The training sample ``index`` of ``count``, as the recipe's augmentation fields say, at the network's input size.

    ``load`` gives the plain samples; ``strong`` switches mosaic and mixup (a recipe closes them in its last epochs).
    """
    sample = _augment_one(load, index, count, preprocess, recipe, rng, strong)
    if strong and rng.random() < recipe.mixup:
        other = _augment_one(load, int(rng.integers(count)), count, preprocess, recipe, rng, strong)
        sample = mixup(sample, other, rng)
    return sample


def _augment_one(
    load: Callable[[int], Sample],
    index: int,
    count: int,
    preprocess: Preprocess,
    recipe: Recipe,
    rng: np.random.Generator,
    strong: bool,
) -> Sample:
    sample = load(index)
    if strong and rng.random() < recipe.mosaic:
        others = [load(int(i)) for i in rng.integers(count, size=3)]
        sample = mosaic([sample, *others], preprocess.frame(*sample.size).size, rng)
    if rng.random() < recipe.crop:
        sample = random_crop(sample, rng)
    factor = rng.uniform(*recipe.scale_jitter) if recipe.scale_jitter else 1.0
    sample = fit(sample, preprocess, factor, rng)
    if recipe.color_jitter:
        sample = replace(sample, image=color_jitter(sample.image, recipe.color_jitter, rng))
    if rng.random() < recipe.flip:
        sample = flip(sample)
    if rng.random() < recipe.vertical_flip:
        sample = flip_vertical(sample)
    return _tidy(sample)


def from_torchvision(transform: Callable[..., Any]) -> Callable[[Sample, np.random.Generator], Sample]:
    """Any ``torchvision.transforms.v2`` transform as a function of a sample and a generator.

    The picture goes in as a uint8 ``tv_tensors.Image``, boxes, labels and masks beside it. torch's generator is seeded
    from ``rng`` for the call and put back afterwards. Objects whose box has collapsed are dropped.
    """
    from torchvision import tv_tensors

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        values: dict[str, Any] = {
            "image": tv_tensors.Image(torch.from_numpy(sample.image.transpose(2, 0, 1).copy())),
            "boxes": _torchvision_boxes(sample),
            "labels": torch.arange(len(sample.labels)),  # positions, so that transforms which drop boxes drop labels
        }
        if sample.masks is not None:
            values["masks"] = tv_tensors.Mask(torch.from_numpy(sample.masks.copy()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            out = transform(values)
        image = out["image"]
        if image.dtype != torch.uint8:
            raise TypeError(f"the transform must leave the picture uint8, it made {image.dtype}; normalise comes later")
        kept = out["labels"].numpy()
        if len(kept) != len(out["boxes"]):
            raise ValueError(f"the transform left {len(out['boxes'])} boxes but {len(kept)} labels; it must drop both")
        masks = out["masks"].numpy() if "masks" in out else None
        if masks is not None and len(masks) != len(kept):
            raise ValueError(f"the transform left {len(masks)} masks but {len(kept)} boxes; it must drop both")
        boxes = out["boxes"].numpy().astype(np.float32)
        return _tidy(Sample(image.permute(1, 2, 0).numpy(), boxes, sample.labels[kept], masks))

    return apply


def _torchvision_boxes(sample: Sample) -> Any:
    from torchvision import tv_tensors

    boxes = torch.from_numpy(sample.boxes.copy())
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=sample.size)  # pyright: ignore[reportCallIssue]


def _crop_anywhere(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> Sample:
    top, left = (int(rng.integers(have - want + 1)) for have, want in zip(sample.size, size, strict=True))
    return crop(sample, top, left, *size)


def _together(image: np.ndarray, parts: list[Sample]) -> Sample:
    masks = [part.masks for part in parts if part.masks is not None]
    return Sample(
        image,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(masks) if len(masks) == len(parts) else None,
    )


def _tidy(sample: Sample) -> Sample:
    """Boxes cut to the picture, which rounding may have left, and those that have collapsed dropped."""
    limits = np.array(sample.size[::-1] * 2, np.float32)
    sample = replace(sample, boxes=sample.boxes.clip(0, limits))
    return sample.take(_solid(sample.boxes))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _solid(boxes: np.ndarray) -> np.ndarray:
    """Whether a box is at least one pixel wide and high."""
    return np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) >= 1
