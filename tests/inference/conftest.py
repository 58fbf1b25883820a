"""A detector that sees red rectangles, and pictures that hold one: coordinates can be checked without training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from baimu.detection.detector import Detector
from baimu.ops.nms import Detected
from baimu.preprocess import Preprocess

PLAIN = Preprocess(mean=(0, 0, 0), std=(1, 1, 1), resize="shortest", size=96, max_size=200, pad_to=32)


class RedFinder(Detector):
    """One detection an image: the bounding box of its red pixels, of score 0.8, and a false one of 0.1."""

    def __init__(self, preprocess: Preprocess = PLAIN, num_classes: int = 2) -> None:
        super().__init__(num_classes=num_classes, iou_threshold=0.5, max_detections=4)
        self.preprocess = preprocess
        self.classes = ("red", "other")[:num_classes]
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.shapes: list[tuple[int, ...]] = []  # of the batches seen
        self.seen: list[tuple[bool, float, int]] = []  # training, IoU threshold and limit at each call

    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detected:
        self.shapes.append(tuple(images.shape))
        self.seen.append((self.training, self.iou_threshold, self.max_detections))
        boxes = torch.zeros(len(images), 4, 4)
        scores = torch.zeros(len(images), 4)
        labels = torch.full((len(images), 4), -1)
        counts = torch.zeros(len(images), dtype=torch.int64)
        for i, image in enumerate(images):
            rows, columns = torch.nonzero((image[0] > 150) & (image[1] < 100), as_tuple=True)
            if len(rows):
                boxes[i, 0] = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                boxes[i, 1] = torch.tensor([0.0, 0.0, 1.0, 1.0])
                scores[i, :2] = torch.tensor([0.8, 0.1])
                labels[i, :2] = torch.tensor([0, self.num_classes - 1])
                counts[i] = 2
        return Detected(boxes, scores, labels, counts)


class RedPainter(RedFinder):
    """The same with masks: the left half of the red rectangle, and nothing of the false detection."""

    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detected:
        found = super().detect(images, sizes)
        masks = torch.zeros(len(images), 4, 8, 8)
        masks[:, 0, :, :4] = 1
        return found._replace(masks=masks)


def _picture(height: int, width: int, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """Grey, with a red rectangle."""
    image = np.full((height, width, 3), 128, np.uint8)
    if box is not None:
        left, top, right, bottom = box
        image[top:bottom, left:right] = (250, 10, 10)
    return image


@pytest.fixture
def finder() -> RedFinder:
    return RedFinder()


@pytest.fixture(scope="session")
def make_finder() -> type[RedFinder]:
    return RedFinder


@pytest.fixture(scope="session")
def make_painter() -> type[RedPainter]:
    return RedPainter


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    return _picture
