"""Classifiers: from probabilities to the classes of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baimu.inference.options import check_count, check_share
from baimu.preprocess import Frame
from baimu.results import Classification


class Classifying:
    """The classes of whole images. Results have all probabilities; ``top`` and ``score_threshold`` say which are worth
    telling: at most so many, and of no lower probability."""

    pads = False

    def __init__(self, model: Any, *, top: int = 5, score_threshold: float = 0.0) -> None:
        check_count("top", top)
        check_share("score_threshold", score_threshold)
        self.names, self.multi_label = tuple(model.classes), bool(model.multi_label)
        self.top, self.min_score = top, score_threshold
        self.settings: dict[str, Any] = {}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Tensor:
        del sizes  # all of them are whole
        return model.classify(images)

    def results(self, answer: Tensor, frames: Sequence[Frame], names: Sequence[str]) -> list[Classification]:
        rows = zip(answer.cpu().numpy(), frames, names, strict=True)
        return [
            Classification(p, self.names, frame.source_size, name, self.multi_label, self.top, self.min_score)
            for p, frame, name in rows
        ]
