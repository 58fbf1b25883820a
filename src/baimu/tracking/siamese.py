"""What Siamese trackers of one object share: the square around the target that the network sees, and its way back.

Boxes are xyxy in pixels of the frame, continuous coordinates. A *window* is a square of whole pixels; it may reach
beyond the frame, where it shows the mean colour of the first frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from baimu.results import Tracks

CONTEXT = 0.5
"""Share of the target's half circumference that is shown around it (1606.09549 §2.4)."""


class Window(NamedTuple):
    """Pixels ``left … left + width − 1`` and ``top … top + height − 1`` of a frame."""

    left: int
    top: int
    width: int
    height: int

    def to_crop(self, boxes: np.ndarray, size: int) -> np.ndarray:
        """Boxes (…, 4) of the frame in pixels of the window's ``size`` x ``size`` picture."""
        scale = np.array([size / self.width, size / self.height] * 2)
        return (boxes - np.array([self.left, self.top] * 2)) * scale


class SingleTracker(Protocol):
    """A plain stateful follower of one object."""

    def init(self, frame: UInt8[np.ndarray, "h w 3"], box: np.ndarray) -> None:
        """Begin with the object in ``box`` (4,) of an RGB ``frame``."""
        ...

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Tracks:
        """Where it is in the next frame: one track, whose id is 1."""
        ...


def context_side(width: float, height: float, context: float = CONTEXT) -> float:
    """Side of the square with the area ``(w + 2p)(h + 2p)``, where ``2p = context · (w + h)`` (1606.09549 Eq. 15)."""
    margin = context * (width + height)
    return math.sqrt((width + margin) * (height + margin))


def crop(frame: UInt8[np.ndarray, "h w 3"], window: Window, size: int, fill: np.ndarray) -> UInt8[Tensor, "3 s s"]:
    """What the window shows, scaled bilinearly, without antialiasing, to ``size`` x ``size``; ``fill`` (3,) outside.

    OpenCV's ``resize`` gives the same but for rounding: it counts in 1/2048 of a pixel.
    """
    left, top, right, bottom = window.left, window.top, window.left + window.width, window.top + window.height
    inside = frame[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if inside.shape[:2] == (window.height, window.width):
        patch = inside
    else:
        patch = np.empty((window.height, window.width, 3), np.uint8)
        patch[:] = fill
        rows, columns = max(-top, 0), max(-left, 0)
        if inside.size:
            patch[rows : rows + inside.shape[0], columns : columns + inside.shape[1]] = inside
    pixels = torch.from_numpy(np.ascontiguousarray(patch)).permute(2, 0, 1)
    if (window.height, window.width) == (size, size):
        return pixels.contiguous()
    scaled = F.interpolate(pixels[None].float(), (size, size), mode="bilinear", align_corners=False)[0]
    return scaled.add_(0.5).to(torch.uint8)


def hann(size: int) -> Float[np.ndarray, "s s"]:
    """The outer product of two Hann windows: 1 in the middle, 0 at the border."""
    window = np.hanning(size)
    return np.outer(window, window)


@dataclass
class Target:
    """Where the object is: its centre and its size in pixels of the frame."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def of(cls, box: np.ndarray, frame: np.ndarray) -> Target:
        """Raises ``ValueError`` for a box without area or that does not touch the frame."""
        x1, y1, x2, y2 = (float(v) for v in box)
        height, width = frame.shape[:2]
        if not (x1 < x2 and y1 < y2 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
            raise ValueError(
                f"box {list(map(float, box))} (x1, y1, x2, y2) has no area in a frame of {width} x {height}; "
                "give one in it, in its pixels"
            )
        return cls((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)

    def hold(self, frame: np.ndarray, smallest: float) -> None:
        """Keep the centre in the frame, and each side between ``smallest`` and the frame's."""
        height, width = frame.shape[:2]
        self.x, self.y = min(max(self.x, 0.0), float(width)), min(max(self.y, 0.0), float(height))
        self.width = max(smallest, min(self.width, float(width)))
        self.height = max(smallest, min(self.height, float(height)))

    def told(self, score: float, frame: np.ndarray) -> Tracks:
        """As a result of one track."""
        half = np.array([self.width, self.height]) / 2
        centre = np.array([self.x, self.y])
        box = np.concatenate([centre - half, centre + half]).astype(np.float32)[None]
        size = (frame.shape[0], frame.shape[1])
        one, number = np.zeros(1, np.int64), np.ones(1, np.int64)
        return Tracks(box, np.array([score], np.float32), one, ("target",), size, image=frame, ids=number)
