"""Readers through ``predict``: greedy or with a beam, a lexicon, a language model; texts through ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from baimu.datasets.text_lines import TextLines
from baimu.errors import BaimuError, DataError, UnknownNameError
from baimu.inference.predictor import Predictor, predict
from baimu.inference.saving import save_predictions
from baimu.losses.ctc import ctc_loss
from baimu.results import Reading, TextLabel
from baimu.text.crnn import LINES, Columns, crnn
from baimu.words import TextPreprocess
from baimu.zoo import create_model

CLASSES = tuple("abc ")


class Stub(nn.Module):
    """Reads the same columns in every line: ab or ac, about equally likely."""

    task = "text_recognition"
    classes = CLASSES
    preprocess = LINES

    def read(self, images: torch.Tensor, sizes: torch.Tensor | None) -> Columns:
        p = torch.tensor([[0.9, 0.02, 0.02, 0.01, 0.05], [0.1, 0.1, 0.1, 0.1, 0.6], [0.02, 0.46, 0.5, 0.01, 0.01]])
        return Columns(p.log().expand(len(images), -1, -1), torch.full((len(images),), 3))


LINE = np.full((20, 50, 3), 255, np.uint8)


def read(**options: Any) -> Reading:
    [found] = predict(Stub(), LINE, **options)
    assert isinstance(found, Reading)
    return found


def test_greedy() -> None:
    found = read()
    assert found.text == "ac"
    assert found.confidences.tolist() == pytest.approx([0.9, 0.5])
    assert found.size == (20, 50)
    assert found.alternatives == ()
    labels = torch.tensor([[0, 2]])
    assert found.score == pytest.approx(torch.exp(-ctc_loss(*Stub().read(labels, None)[:1], labels, torch.tensor([3]))))


def test_beam_lexicon_and_language_model(tmp_path: Path) -> None:
    assert read(beam=5).text == "ac"
    found = read(alternatives=2)
    assert found.alternatives[0].text == "ab"
    assert found.score > found.alternatives[0].score > found.alternatives[1].score > 0
    (tmp_path / "words.txt").write_text("ab\nb\n", encoding="utf-8")
    assert read(lexicon=tmp_path / "words.txt").text == "ab"
    assert read(lexicon=["ab", "b"]).confidences.tolist() == pytest.approx([0.9, 0.46])
    assert read(language_model=["ab", "ab", "cab"]).text == "ab"
    assert read(language_model=["ab", "ab"], lexicon=["ac", "b"]).text == "ac"
    assert read(lexicon=["bbbbbb"]).text == ""
    with pytest.raises(UnknownNameError, match="lexicon"):
        read(lexicn=["ab"])
    with pytest.raises(BaimuError, match="neither can be negative"):
        read(beam=-1)


def test_lines_of_any_width_in_any_batch() -> None:
    torch.manual_seed(0)
    lines = TextLines(6)
    model = crnn(len(lines.classes), hidden=16)
    model.classes = lines.classes
    images = [lines.image(i) for i in range(6)]
    alone = list(Predictor(model)(images))
    together = list(Predictor(model)(images, batch_size=4))
    assert [a.text for a in alone] == [b.text for b in together]
    assert [a.score for a in alone] == pytest.approx([b.score for b in together], rel=1e-3)
    assert len({image.shape for image in images}) > 3


@pytest.fixture(scope="module")
def teller() -> Any:
    torch.manual_seed(0)
    model: Any = create_model("textcnn", vocabulary=4, dim=5)
    model.classes, model.preprocess = ("ham", "spam"), TextPreprocess(words=("free", "call"))
    nn.init.normal_(model.classify.weight)
    for conv in model.convs:
        nn.init.normal_(conv.weight)
    return model


def test_texts_of_all_kinds(teller: Any, tmp_path: Path) -> None:
    [one] = predict(teller, "free call")
    assert isinstance(one, TextLabel)
    assert (one.text, one.source, one.size) == ("free call", "text 0", (1, 2))
    both = predict(teller, ["free call", "call me"], batch_size=2)
    assert [found.text for found in both] == ["free call", "call me"]
    assert np.allclose(both[0].probabilities, one.probabilities, atol=1e-6)
    (tmp_path / "texts.txt").write_text("free call\n\ncall me\n", encoding="utf-8")
    lines = predict(teller, tmp_path / "texts.txt")
    assert [found.text for found in lines] == ["free call", "call me"]
    assert lines[1].source == f"{tmp_path / 'texts.txt'}:3"
    assert predict(teller, str(tmp_path / "texts.txt"))[0].text == "free call"
    assert teller.predict("free")[0].text == "free"
    numbers = teller.preprocess.numbers("free call")
    assert one.probabilities == pytest.approx(teller.eval().tell(torch.tensor([numbers]))[0].numpy())


def test_what_is_no_text(teller: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        predict(teller, tmp_path / "gone.txt")
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no text"):
        predict(teller, tmp_path / "empty.txt")
    with pytest.raises(DataError, match="text 1: is a int"):
        predict(teller, ["a", 1])
    with pytest.raises(DataError, match="cannot read int"):
        predict(teller, 3)


def test_texts_are_told_and_not_drawn(teller: Any, tmp_path: Path) -> None:
    told = []
    written = save_predictions(teller, ["free call"], tmp_path / "out", report=lambda found, path: told.append(path))
    assert (written, told) == ([], [None])
    assert not (tmp_path / "out").exists()
