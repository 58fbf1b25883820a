"""Embedders: from images to vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baimu.preprocess import Frame
from baimu.results import Embedding


class EmbeddingImages:
    """The embedding of whole images. ``flip``: that of the mirrored image is added before it is made of length 1; by
    default as the model has it."""

    pads = False

    def __init__(self, model: Any, *, flip: bool | None = None) -> None:
        self.settings: dict[str, Any] = {} if flip is None else {"flip": flip}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Tensor:
        del sizes  # all of them are whole
        return model.embed(images)

    def results(self, answer: Tensor, frames: Sequence[Frame], names: Sequence[str]) -> list[Embedding]:
        rows = zip(answer.cpu().numpy(), frames, names, strict=True)
        return [Embedding(vector, frame.source_size, source=name) for vector, frame, name in rows]
