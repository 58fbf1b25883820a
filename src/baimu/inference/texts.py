"""Texts instead of images: where they come from, and the classes that a model tells of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.datasets.source import TextSource
from baimu.datasets.text_batches import padded
from baimu.errors import DataError
from baimu.inference.batches import Ready
from baimu.inference.sources import Images, Item
from baimu.preprocess import Frame
from baimu.results.text_label import TextLabel
from baimu.targets import Batch, ClassTargets
from baimu.words import TextPreprocess


class TextMedium:
    """Texts: a ``str`` that names no file is one; a file holds one a line; a list or a data set holds several."""

    drawn = False

    def open(self, source: Any) -> Images:
        """Raises :class:`~baimu.errors.DataError` for a ``Path`` that is no file, an empty file and another type."""
        if isinstance(source, TextSource):
            names = [source.name(i) for i in range(len(source))]
            return _items(names, [source.text(i) for i in range(len(source))])
        if isinstance(source, str) and not _is_file(source):
            return _items(["text 0"], [source])
        if isinstance(source, str | os.PathLike):
            return _lines(Path(source))
        if isinstance(source, Iterable) and not isinstance(source, bytes):
            texts = list(source)
            for number, text in enumerate(texts):
                if not isinstance(text, str):
                    raise DataError(f"text {number}: is a {type(text).__name__}; a list holds texts")
            return _items([f"text {number}" for number in range(len(texts))], texts)
        raise DataError(
            f"cannot read {type(source).__name__}; give a text, a file with a text a line, or a list of texts"
        )

    def prepare(self, item: Item, preprocess: TextPreprocess) -> Ready:
        numbers = np.array(preprocess.numbers(str(item.read())), np.int64)
        size = (1, len(numbers))
        return Ready(item, numbers, Frame(size, size, 1.0, 1.0), None)

    def collate(self, ready: list[Ready], preprocess: TextPreprocess) -> Batch:
        del preprocess
        inputs = padded([r.pixels.tolist() for r in ready])
        nothing = ClassTargets(torch.zeros(len(ready), 0))
        return Batch(inputs, nothing, [r.frame for r in ready], [r.item.name for r in ready])

    def attach(self, found: TextLabel, ready: Ready) -> TextLabel:
        return found.about(str(ready.item.read()))


TEXTS = TextMedium()


class TellingTexts:
    """The classes of texts. ``top`` and ``score_threshold`` as for classifiers of images."""

    medium = TEXTS
    pads = True

    def __init__(self, model: Any, *, top: int = 5, score_threshold: float = 0.0) -> None:
        self.names, self.top, self.min_score = tuple(model.classes), top, score_threshold
        self.settings: dict[str, Any] = {}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Tensor:
        del sizes
        return model.tell(images)

    def results(self, answer: Tensor, frames: Sequence[Frame], names: Sequence[str]) -> list[TextLabel]:
        sizes = [frame.source_size for frame in frames] or [(1, 0)] * len(names)
        rows = zip(answer.cpu().numpy(), sizes, names, strict=True)
        return [TextLabel(p, self.names, size, name, False, self.top, self.min_score) for p, size, name in rows]


def _items(names: Sequence[str], texts: Sequence[str]) -> Images:
    items = [Item(name, partial(str, text)) for name, text in zip(names, texts, strict=True)]  # pyright: ignore[reportArgumentType]
    return Images(items, len(items))


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError):  # longer than a name may be
        return False


def _lines(path: Path) -> Images:
    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give a text file in UTF-8") from None
    texts = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    if not texts:
        raise DataError(f"{path}: holds no text; write one a line")
    return _items([f"{path}:{number}" for number in texts], [*texts.values()])
