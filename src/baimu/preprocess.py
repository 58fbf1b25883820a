"""How an image becomes network input, and the way back. Belongs to the weights and travels with them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from baimu.errors import unknown
from baimu.words import TextPreprocess

Resize = Literal["shortest", "letterbox", "stretch", "crop", "height", "none"]
Interpolation = Literal["bilinear", "bicubic"]

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue."""


@dataclass(frozen=True)
class Frame:
    """Where one source image lies in the network's input: ``x_input = x_source * scale_x + left`` (pixels).

    ``left`` and ``top`` are negative where a crop cut that much away.
    """

    source_size: tuple[int, int]  # height, width of the image as the user sees it
    size: tuple[int, int]  # height, width of its picture inside the input, padding not counted
    scale_x: float
    scale_y: float
    left: int = 0
    top: int = 0

    @property
    def scaled(self) -> tuple[int, int]:
        """Height, width of the whole source at this scale, before anything is cropped."""
        height, width = self.source_size
        return round(height * self.scale_y), round(width * self.scale_x)

    def to_source(self, boxes: np.ndarray) -> np.ndarray:
        """Input boxes (n, 4) xyxy in source pixels, clipped to the source image."""
        height, width = self.source_size
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.left, self.top] * 2, np.float32)
        return ((boxes - offset) / scale).clip(0, np.array([width, height] * 2, np.float32)).astype(np.float32)

    def from_source(self, boxes: np.ndarray) -> np.ndarray:
        """Source boxes (n, 4) xyxy in input pixels."""
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        offset = np.array([self.left, self.top] * 2, np.float32)
        return (boxes * scale + offset).astype(np.float32)


@dataclass(frozen=True)
class Preprocess:
    """Resize, padding, channel order and normalisation that a set of weights was trained with.

    ``resize``: ``shortest`` scales the shorter side to ``size`` unless the longer would pass ``max_size``;
    ``letterbox`` fits the image into a ``size`` x ``size`` square and pads it at the right and bottom;
    ``stretch`` gives up the aspect ratio, for a square or ``width`` x ``size``; ``crop`` scales the shorter side to
    ``size / crop_share``, rounded down, and takes the middle ``size`` x ``size`` of that; ``height`` scales to ``size``
    pixels of height and in proportion, to at most ``max_size`` of width; ``none`` leaves the pixels alone. Every batch
    is then padded at the right and bottom to a multiple of ``pad_to``; padding is zero *after* normalisation. ``mean``
    and ``std`` are in 0…255 units, in the order of ``channel_order``, one number each of ``grey`` (ITU-R 601), which is
    one channel. Pixels are interpolated with antialiasing.
    """

    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    channel_order: Literal["rgb", "bgr", "grey"] = "rgb"
    resize: Resize = "shortest"
    size: int = 800
    max_size: int = 1333
    pad_to: int = 32
    crop_share: float = 0.875
    interpolation: Interpolation = "bilinear"
    width: int | None = None  # of stretch, where it makes no square

    def __post_init__(self) -> None:
        for name, kinds in (("resize", Resize), ("interpolation", Interpolation)):
            if getattr(self, name) not in get_args(kinds):
                raise unknown(name, getattr(self, name), get_args(kinds))

    def frame(self, height: int, width: int) -> Frame:
        """Where an image of ``height`` x ``width`` lies in the input; its resized size is ``Frame.size``."""
        if self.resize == "none":
            return Frame((height, width), (height, width), 1.0, 1.0)
        if self.resize == "stretch":
            across = self.width or self.size
            return Frame((height, width), (self.size, across), across / width, self.size / height)
        if self.resize == "crop":
            return self._middle(height, width)
        if self.resize == "height":
            across = min(max(1, math.floor(width * self.size / height + 0.5)), self.max_size)
            return Frame((height, width), (self.size, across), across / width, self.size / height)
        if self.resize == "letterbox":
            scale = self.size / max(height, width)
        else:
            scale = min(self.size / min(height, width), self.max_size / max(height, width))
        new_height, new_width = (max(1, math.floor(side * scale + 0.5)) for side in (height, width))
        return Frame((height, width), (new_height, new_width), new_width / width, new_height / height)

    def _middle(self, height: int, width: int) -> Frame:
        """The rounding is torchvision's ``Resize`` and ``CenterCrop``, so that published figures come out again."""
        shorter = math.floor(self.size / self.crop_share + 1e-6)
        new_height, new_width = (shorter * side // min(height, width) for side in (height, width))
        top, left = (-round((side - self.size) / 2) for side in (new_height, new_width))
        size = (self.size, self.size)
        return Frame((height, width), size, new_width / width, new_height / height, left, top)

    def batch_size_of(self, frames: list[Frame]) -> tuple[int, int]:
        """Height and width of the padded batch that holds all ``frames``."""
        if self.resize in ("letterbox", "crop"):
            sides = [self.size, self.size]
        else:
            sides = [max(f.size[0] + f.top for f in frames), max(f.size[1] + f.left for f in frames)]
        height, width = (-(-side // self.pad_to) * self.pad_to for side in sides)
        return height, width

    def normalize(self, images: Tensor, sizes: Int[Tensor, "b 2"] | None = None) -> Float[Tensor, "b c h w"]:
        """uint8 or float RGB images (B, 3, H, W) in 0…255 → network input of 3 channels or 1, zero outside."""
        images = images.to(torch.float32, copy=True)  # so that all that follows can work in place
        if self.channel_order == "bgr":
            images = images.flip(1)
        elif self.channel_order == "grey":
            images = (images * images.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
        mean = images.new_tensor(self.mean)[:, None, None]
        scale = 1.0 / images.new_tensor(self.std)[:, None, None]
        if sizes is None:
            return images.sub_(mean).mul_(scale)
        rows = torch.arange(images.shape[2], device=images.device) < sizes[:, :1]
        columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:]
        # Rows come with the scale and columns as numbers: a bool mask (B, H, W) takes five times as long on a CPU.
        images.sub_(mean).mul_(scale * rows[:, None, :, None]).mul_(columns.to(images.dtype)[:, None, None, :])
        return images

    def restore(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        """The inverse of :meth:`normalize`: network values → RGB in 0…255, not clipped."""
        scale, mean = images.new_tensor(self.std)[:, None, None], images.new_tensor(self.mean)[:, None, None]
        images = images * scale + mean
        if self.channel_order == "grey":
            return images.expand(-1, 3, -1, -1)
        return images.flip(1) if self.channel_order == "bgr" else images

    def like(self, other: Preprocess) -> Preprocess:
        """The sizes of this one, with the mean, deviation and channel order of ``other``."""
        return replace(self, mean=other.mean, std=other.std, channel_order=other.channel_order)

    def replace(self, **changes: Any) -> Preprocess:
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """Inverse of :meth:`to_dict`; an unknown key raises :class:`~baimu.errors.UnknownNameError`."""
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown("preprocessing field", key, known)
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)


KINDS: dict[str, Any] = {"text": TextPreprocess, "image": Preprocess}
"""What makes network input, by the ``kind`` that its :meth:`~Preprocess.to_dict` states; without one, of images."""


def preprocess_from_dict(values: dict[str, Any]) -> Any:
    """The preprocessing of a checkpoint. Raises :class:`~baimu.errors.UnknownNameError` for a kind not known here."""
    kind = values.get("kind", "image")
    if kind not in KINDS:
        raise unknown("kind of preprocessing", kind, KINDS)
    return KINDS[kind].from_dict({key: value for key, value in values.items() if key != "kind"})


imagenet = Preprocess()
"""RGB, ImageNet mean and deviation, shorter side 800, longer at most 1333: the detection default."""

signed = Preprocess(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
"""As ``imagenet`` with pixels in −1…1, TensorFlow's habit: Inception networks and what was converted from there."""
