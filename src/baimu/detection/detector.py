"""What every detector shares: the way from tensors to losses, to fixed-size detections, and to results."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.layers import shortcuts
from baimu.ops.nms import Detected, Nms, multiclass_nms
from baimu.preprocess import Preprocess, imagenet
from baimu.targets import Targets


class Candidates(NamedTuple):
    """Decoded boxes before NMS, a fixed count N an image; a score below the model's threshold is set to 0."""

    boxes: Float[Tensor, "b n 4"]  # xyxy, input pixels, clipped to the image
    scores: Float[Tensor, "b n"]
    labels: Int[Tensor, "b n"]


def full_sizes(images: Float[Tensor, "b c h w"]) -> Int[Tensor, "b 2"]:
    """(height, width) of each image, all of it valid."""
    return images.new_tensor([images.shape[2:]] * images.shape[0], dtype=torch.int64)


class Detector(nn.Module):
    """``losses`` and ``detect`` of a detector whose subclass has ``forward``, ``loss`` and ``decode``.

    Two-stage detectors override ``losses``, because their sampling sits between the network's halves.
    """

    task = "detection"
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model
    needs_masks: bool = False  # it learns from the objects' masks, and gives some

    def __init__(
        self, *, num_classes: int, iou_threshold: float, max_detections: int, nms: Nms = multiclass_nms
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes counts the foreground classes and must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.nms = nms
        self.classes: tuple[str, ...] = tuple(f"class {i}" for i in range(num_classes))
        self.preprocess: Preprocess = imagenet

    def loss(self, outputs: Any, targets: Targets) -> dict[str, Tensor]:
        """Named float32 scalars, already weighted: their sum is what training minimises."""
        raise NotImplementedError

    def decode(self, outputs: Any, sizes: Int[Tensor, "b 2"]) -> Candidates:
        """Candidates in input pixels, clipped to each image's valid (height, width)."""
        raise NotImplementedError

    def outputs(self, images: Float[Tensor, "b 3 h w"], sizes: Int[Tensor, "b 2"]) -> Any:
        """What ``forward`` gives; a method whose ``forward`` minds the padding hands it the valid ``sizes``."""
        del sizes
        return self(images)

    def complete(self, outputs: Any, found: Detected) -> Detected:
        """``found`` with what a method says of its final detections only, as masks: of every place, filled or not."""
        del outputs
        return found

    def losses(self, images: Float[Tensor, "b 3 h w"], targets: Targets) -> dict[str, Tensor]:
        """One training pass over normalised images."""
        return self.loss(self.outputs(images, targets.sizes), targets)

    @torch.no_grad()
    def detect(self, images: Float[Tensor, "b 3 h w"], sizes: Int[Tensor, "b 2"] | None = None) -> Detected:
        """Detections of normalised images, padded to ``max_detections`` an image, best first."""
        sizes = full_sizes(images) if sizes is None else sizes
        outputs = self.outputs(images, sizes)
        found = self.nms(*self.decode(outputs, sizes), self.iou_threshold, self.max_detections)
        if not self.needs_masks:
            return self.complete(outputs, found)
        most = max(1, int(found.counts.max()))  # to ask costs less than the masks of empty places
        return self.complete(outputs, found.cut(most)).cut(self.max_detections)

    predict = shortcuts.predict
    optimize = shortcuts.optimize
