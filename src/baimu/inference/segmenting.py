"""Segmenters: from logits to the class of each pixel of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import BaimuError
from baimu.preprocess import Frame
from baimu.results import Segmentation
from baimu.semantic_segmentation.segmenter import pair, resize_maps

Views = list[Tensor]
"""Logits (B, K, h, w) of the whole input, one of each scale and of its mirror image."""


class Segmenting:
    """The class of each pixel, with ``confidence`` also how sure it is.

    ``window`` and ``window_stride`` (pixels of the input): look through windows; None, as the model has it. ``scales``
    and ``flip``: the mean probability over the input at these sizes, and over its mirror images too (multi-scale test);
    windows keep their size.
    """

    pads = False  # a mean over the whole map, which several methods have, would see the padding

    def __init__(
        self,
        model: Any,
        *,
        confidence: bool = False,
        window: int | Sequence[int] | None = None,
        window_stride: int | Sequence[int] | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise BaimuError(f"scales={scales}: give factors above 0")
        self.names = tuple(model.classes)
        self.align_corners = bool(model.align_corners)
        self.confidence, self.scales, self.flip = confidence, tuple(scales), flip
        given = {"window": window, "window_stride": window_stride}
        self.settings: dict[str, Any] = {key: _sides(key, value) for key, value in given.items() if value is not None}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Views:
        del sizes  # all of them are whole, but for what a square leaves
        views = []
        for scale in self.scales:
            size = [max(1, round(side * scale)) for side in images.shape[2:]]
            scaled = resize_maps(images, size, self.align_corners)
            views.append(model.segment(scaled))
            if self.flip:
                views.append(model.segment(scaled.flip(3)).flip(3))
        return views

    def results(self, answer: Views, frames: Sequence[Frame], names: Sequence[str]) -> list[Segmentation]:
        return [self._result(answer, i, frame, name) for i, (frame, name) in enumerate(zip(frames, names, strict=True))]

    @torch.inference_mode()
    def _result(self, views: Views, i: int, frame: Frame, name: str) -> Segmentation:
        """Logits are interpolated to the source's pixels before the best class is taken, so that borders are smooth."""
        whole = views[0].shape[2:]
        total: Any = None
        for view in views:
            size = [
                max(1, round(h * have / all)) for h, have, all in zip(frame.size, view.shape[2:], whole, strict=True)
            ]
            logits = resize_maps(view[i : i + 1, :, : size[0], : size[1]], frame.source_size, self.align_corners)[0]
            if len(views) > 1:
                logits = logits.softmax(0)
            total = logits if total is None else total + logits
        best = total.max(0)
        confidence = None
        if self.confidence:
            share = best.values / len(views) if len(views) > 1 else torch.exp(best.values - total.logsumexp(0))
            confidence = _bytes(share * 255)
        return Segmentation(_bytes(best.indices), self.names, frame.source_size, name, confidence)


def _sides(name: str, given: int | Sequence[int]) -> tuple[int, int]:
    sides = [given] * 2 if isinstance(given, int) else given
    if len(sides) != 2 or min(sides) < 1:
        raise BaimuError(f"{name}={given}: give pixels, at least 1, for both sides or for height and width")
    return pair(sides)


def _bytes(values: Tensor) -> np.ndarray:
    return values.round().to(torch.uint8).cpu().numpy() if values.is_floating_point() else values.byte().cpu().numpy()
