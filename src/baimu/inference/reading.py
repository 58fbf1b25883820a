"""Readers of lines: from what the network says of columns to texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baimu.errors import BaimuError
from baimu.losses.ctc import ctc_loss
from baimu.preprocess import Frame
from baimu.results.reading import Candidate, Reading
from baimu.text.crnn import Columns
from baimu.text.decoding import Grammar, Labels, beam_search, confidences, greedy
from baimu.text.grammar import LanguageModel, Lexicon, Together, read_lines

BEAM = 10
"""Texts that are followed at once where something needs more than one and nobody says how many."""


class ReadingLines:
    """What stands in lines of text.

    ``beam``: texts that a prefix beam search follows at once; 0 takes the best class of each column. ``lexicon``: a
    file of words (or a list), of which texts must consist; ``language_model``: a file of texts (or a list) from which
    is learned which characters follow which, and ``language_weight`` (0.5) what that counts beside the image.
    ``alternatives``: so many further texts are told. All of these but the first need a beam, by default of 10.
    """

    pads = True

    def __init__(
        self,
        model: Any,
        *,
        beam: int = 0,
        lexicon: str | Path | Sequence[str] | None = None,
        language_model: str | Path | Sequence[str] | None = None,
        language_weight: float = 0.5,
        alternatives: int = 0,
    ) -> None:
        if beam < 0 or alternatives < 0:
            raise BaimuError(f"beam={beam} alternatives={alternatives}: neither can be negative")
        self.names = tuple(model.classes)
        grammars: list[Grammar] = []
        if lexicon is not None:
            grammars.append(Lexicon(_lines(lexicon), self.names))
        if language_model is not None:
            grammars.append(LanguageModel(_lines(language_model), self.names, weight=language_weight))
        self.grammar = Together(*grammars) if len(grammars) > 1 else grammars[0] if grammars else None
        self.beam = beam or (max(BEAM, alternatives + 1) if grammars or alternatives else 0)
        self.alternatives = alternatives
        self.settings: dict[str, Any] = {}

    @torch.inference_mode()
    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Columns:
        return Columns(*(part.cpu() for part in model.read(images, sizes)))

    def results(self, answer: Columns, frames: Sequence[Frame], names: Sequence[str]) -> list[Reading]:
        if self.beam:
            texts, sure, others = self._searched(answer)
        else:
            rows = greedy(*answer)
            texts, sure, others = [row[0] for row in rows], [row[1] for row in rows], [[] for _ in rows]
        scores = probabilities(answer, texts)
        return [
            Reading(
                text=self._text(text),
                score=score,
                confidences=np.array(own, np.float32),
                size=frame.source_size,
                source=name,
                alternatives=tuple(other),
                names=self.names,
            )
            for text, score, own, other, frame, name in zip(texts, scores, sure, others, frames, names, strict=True)
        ]

    def _searched(self, answer: Columns) -> tuple[list[Labels], list[list[float]], list[list[Candidate]]]:
        texts, sure, others = [], [], []
        for log_p, steps in zip(answer.log_p.numpy(), answer.steps.tolist(), strict=True):
            log_p = log_p[:steps]
            found = beam_search(log_p, width=self.beam, grammar=self.grammar)
            labels = found[0].labels if found else ()  # nothing that the lexicon has can be written into the line
            texts.append(labels)
            sure.append(confidences(log_p, labels))
            more = [one.labels for one in found[1 : 1 + self.alternatives]]
            one = Columns(torch.from_numpy(log_p).expand(len(more), -1, -1), torch.full((len(more),), steps))
            scores = probabilities(one, more)
            others.append([Candidate(self._text(t), s) for t, s in zip(more, scores, strict=True)])
        return texts, sure, others

    def _text(self, labels: Labels) -> str:
        return "".join(self.names[label] for label in labels)


def _lines(given: str | Path | Sequence[str]) -> Sequence[str]:
    """Those of a file, or the list itself."""
    return read_lines(given) if isinstance(given, str | Path) else given


def probabilities(columns: Columns, texts: Sequence[Labels]) -> list[float]:
    """That of each text given its line, of all its alignments."""
    if not texts:
        return []
    labels = torch.full((len(texts), max([1, *map(len, texts)])), -1)
    for row, own in zip(labels, texts, strict=True):
        row[: len(own)] = torch.tensor(own, dtype=torch.int64)
    return [min(1.0, math.exp(-loss)) for loss in ctc_loss(columns.log_p, labels, columns.steps).tolist()]
