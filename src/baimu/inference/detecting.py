"""Detectors: from the network's boxes and masks to those of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import unknown
from baimu.inference.options import check_count, check_share
from baimu.inference.pasting import paste_packed
from baimu.ops.nms import Detected
from baimu.preprocess import Frame
from baimu.results import Detections


class Detecting:
    """Objects of at least ``score_threshold`` (None: all that the model lets through, as evaluation needs), only of the
    named ``classes`` if given. ``iou_threshold`` (of NMS) and ``max_detections`` (an image): None, the model's own.
    """

    pads = True

    def __init__(
        self,
        model: Any,
        *,
        score_threshold: float | None = 0.3,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        check_share("score_threshold", score_threshold)
        check_share("iou_threshold", iou_threshold)
        check_count("max_detections", max_detections)
        self.names = tuple(model.classes)
        classes = (classes,) if isinstance(classes, str) else classes
        self.labels = None if classes is None else [label_of(name, self.names) for name in classes]
        self.score_threshold = score_threshold
        settings = {"iou_threshold": iou_threshold, "max_detections": max_detections}
        own = getattr(model, "score_threshold", None)
        if score_threshold is not None and own is not None and score_threshold < own:
            settings["score_threshold"] = score_threshold
        self.settings = {name: value for name, value in settings.items() if value is not None}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Detected:
        return model.detect(images, sizes)

    def results(self, answer: Detected, frames: Sequence[Frame], names: Sequence[str]) -> list[Detections]:
        masks = [None] * len(frames) if answer.masks is None else answer.masks
        rows = zip(*_to_host(answer), masks, frames, names, strict=True)
        return [self._result(*row) for row in rows]

    def _result(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
        masks: Tensor | None,
        frame: Frame,
        name: str,
    ) -> Detections:
        keep = labels >= 0
        if self.score_threshold is not None:
            keep &= scores >= np.float32(self.score_threshold)
        if self.labels is not None:
            keep &= np.isin(labels, self.labels)
        boxes, size = frame.to_source(boxes[keep]), frame.source_size
        packed = None
        if masks is not None:
            packed = paste_packed(masks[torch.from_numpy(keep.nonzero()[0]).to(masks.device)], boxes, size)
        return Detections(boxes, scores[keep], labels[keep], self.names, size, name, packed)


def label_of(name: str, names: tuple[str, ...]) -> int:
    """The label of a class; an unknown name offers the nearest."""
    if name not in names:
        raise unknown("class", name, names)
    return names.index(name)


def _to_host(detected: Detected) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Boxes (D, 4), scores (D,) and labels (D,) of each image, padding as it is, in one transfer from the device."""
    columns = [detected.boxes.float(), detected.scores.float()[..., None], detected.labels.float()[..., None]]
    packed: Tensor = torch.cat(columns, 2).cpu()  # labels are exact in float32 up to 2^24
    rows = packed.numpy()
    return [r[:, :4] for r in rows], [r[:, 4] for r in rows], [r[:, 5].astype(np.int64) for r in rows]
