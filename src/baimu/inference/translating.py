"""Models that make images of images: from the network's pixels to a picture of the source's size, or S times that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.datasets.transforms import resize_image
from baimu.errors import BaimuError, unknown
from baimu.inference.tiling import tiled
from baimu.preprocess import Frame
from baimu.results.picture import Picture

LARGE = 512
"""Of an image with a longer side than this, tiles of it are made one after the other, where the model sees no farther
than some pixels."""


class Translating:
    """Pictures made of images. ``to``: the domain to make, where there are two; its name, by default the second.
    ``tile``: pixels of the squares that a large image is cut into, for super-resolution; 0 never cuts.
    """

    pads = False

    def __init__(self, model: Any, *, to: str | None = None, tile: int | None = None) -> None:
        self.domains: tuple[str, ...] = tuple(model.classes)
        if to is not None and not self.domains:
            raise BaimuError(f"to={to}: this model makes one kind of picture; leave it away")
        if to is not None and to not in self.domains:
            raise unknown("domain", to, self.domains)
        if tile is not None and tile < 0:
            raise BaimuError(f"tile={tile}: give pixels, or 0 to cut nothing")
        if tile and model.reach is None:
            raise BaimuError(f"tile={tile}: this model looks at whole images, which cannot be cut; leave it away")
        self.to = self.domains.index(to) if to is not None else getattr(model, "makes", 1)  # an exported one: its own
        self.scale, self.reach = model.scale, model.reach
        self.tile = LARGE if tile is None else tile
        self.settings: dict[str, Any] = {}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Tensor:
        """(B, S H, S W, 3) uint8."""
        del sizes  # all of them are whole

        def run(part: Tensor) -> Tensor:
            return model.translate(part, self.to)

        if self.tile and self.reach is not None:
            made = tiled(run, images, tile=self.tile, margin=self.reach, scale=self.scale)
        else:
            made = run(images)
        return made.round().to(torch.uint8).permute(0, 2, 3, 1)

    def results(self, answer: Tensor, frames: Sequence[Frame], names: Sequence[str]) -> list[Picture]:
        kind = self.domains[self.to] if self.domains else ""
        return [
            Picture(_placed(made, frame, self.scale), frame.source_size, name, self.scale, kind)
            for made, frame, name in zip(answer.cpu().numpy(), frames, names, strict=True)
        ]


def _placed(made: np.ndarray, frame: Frame, scale: int) -> np.ndarray:
    """At the size of the source, times the scale."""
    height, width = (scale * side for side in frame.size)
    size = (scale * frame.source_size[0], scale * frame.source_size[1])
    return np.ascontiguousarray(resize_image(made[:height, :width], size, "bicubic"))
