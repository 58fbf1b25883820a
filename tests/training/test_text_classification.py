"""Models of texts in the engine: vocabulary, vectors, run folder, resume, and data that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baimu
from baimu.errors import DataError, TrainingError
from baimu.metrics.classification import FIGURES, ClassScores, score
from baimu.text.textcnn import TextCNN
from baimu.training.run import Run
from baimu.training.text_classification import with_auc
from baimu.weights.archive import read_document
from baimu.weights.checkpoint import load
from tests.training.tiny import assert_same, weights_of

QUICK: dict[str, Any] = {"epochs": 4, "batch_size": 6, "optimizer": "adam", "lr": 0.03}
SMALL = {"dim": 8, "filters": 6}
HAM, SPAM = (
    ("see you at home", "are you coming", "call me later"),
    ("win a free prize", "free cash now", "claim prize now"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "mail.tsv"
    rows = [
        f"{label}\t{text} {i}" for label, texts in (("ham", HAM), ("spam", SPAM)) for i, text in enumerate(texts * 4)
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return baimu.train("textcnn", data, out=tmp_path_factory.mktemp("runs") / "a", arguments=SMALL, **QUICK)


def test_the_run_folder_is_complete(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == {
        "best.safetensors", "classes.png", "confusion_matrix.png", "curves.png", "data.txt", "labels.png",
        "last.safetensors", "mistakes.txt", "problems.txt", "recipe.yaml", "reliability.png", "report.html",
        "results.csv", "words.txt",
    }  # fmt: skip
    assert set(run.scores) == {*FIGURES, "macro_auc"}
    assert "words of held-out texts are unknown" in (run.folder / "words.txt").read_text()
    assert "The surest mistakes" in run.report.read_text()


def test_it_learns_a_keyword(run: Run) -> None:
    assert run.scores["macro_f1"] == 1
    ham, spam = baimu.predict(run.folder, ["see you", "free prize"])
    assert (ham.name, spam.name) == ("ham", "spam")


def test_the_vocabulary_travels(run: Run, data: Path) -> None:
    model: Any = load(run.folder)
    assert "prize" in model.preprocess.words
    assert model.vocabulary == model.preprocess.size
    assert model.spec[1]["vocabulary"] == model.preprocess.size
    scores = baimu.eval(run.folder, data, val_fraction=0.2)
    assert isinstance(scores, ClassScores)
    figures = {**scores.figures(), "macro_auc": scores.macro_auc}
    assert figures == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    assert float(model.classify.weight.detach().norm(dim=1).max()) <= 3.0001


def test_resume_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    baimu.train("textcnn", data, out=tmp_path / "part", arguments=SMALL, **{**QUICK, "epochs": 2})
    again = baimu.train("textcnn", data, out=tmp_path / "part", resume=True, epochs=4)
    straight = baimu.train("textcnn", data, out=tmp_path / "whole", arguments=SMALL, **QUICK)
    assert_same(weights_of(again.folder), weights_of(straight.folder))


def test_other_weights_bring_their_vocabulary_through_a_resume(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.tsv"
    path.write_text("".join(f"{c}\tquite other {c} words\n" for c in "xyxyxyxyxyxy"), encoding="utf-8")
    quick = {**QUICK, "epochs": 1}
    first = baimu.train("textcnn", path, out=tmp_path / "out", weights=run.folder, **quick)
    words = load(run.folder).preprocess.words
    assert first.model().preprocess.words == words
    again = baimu.train("textcnn", path, out=tmp_path / "out", resume=True, epochs=2)
    assert again.model().preprocess.words == words


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("free 1 2 3 4\nprize 5 6 7 8\nunheard 0 0 0 0\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["textcnn_static", "textcnn_multichannel"])
def test_vectors_from_a_file(name: str, data: Path, vectors: Path, tmp_path: Path) -> None:
    given = {"word_vectors": str(vectors), "filters": 6}
    made = baimu.train(name, data, out=tmp_path / "out", arguments=given, **{**QUICK, "epochs": 1})
    model = made.model()
    assert isinstance(model, TextCNN)
    assert model.static is not None
    rows = model.static.weight[model.preprocess.numbers("free prize")]
    assert rows.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert "word_vectors" not in read_document(made.folder / "best.safetensors")["model"][1]
    if model.learned is not None:
        assert not torch.equal(model.learned.weight, model.static.weight)


def test_what_does_not_fit_is_refused(data: Path, vectors: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.word_vectors=FILE"):
        baimu.train("textcnn_static", data, out=tmp_path / "a", **QUICK)
    given = {"word_vectors": str(vectors), "tokenizer": str(vectors)}
    with pytest.raises(TrainingError, match="vectors are of words"):
        baimu.train("textcnn", data, out=tmp_path / "b", arguments=given, **QUICK)
    with pytest.raises(DataError, match=r"gone\.json: cannot be read"):
        baimu.train("textcnn", data, out=tmp_path / "c", arguments={"tokenizer": str(tmp_path / "gone.json")}, **QUICK)


def test_a_model_object_gets_a_vocabulary_that_fits_it(data: Path, tmp_path: Path) -> None:
    model = TextCNN(vocabulary=7, dim=4, filters=3)
    baimu.train(model, data, out=tmp_path / "out", **{**QUICK, "epochs": 1})
    assert len(model.preprocess.words) == 5
    assert model.classes == ("ham", "spam")


def test_a_tokenizer_file(data: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"free": 0, "you": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    given = {**SMALL, "tokenizer": str(tmp_path / "tokenizer.json")}
    done = baimu.train("textcnn", data, out=tmp_path / "out", arguments=given, **{**QUICK, "epochs": 1})
    model = done.model()
    assert model.preprocess.numbers("free you") == [2, 3]
    assert model.vocabulary == 5


def test_auc_of_each_class_against_the_others() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 60).astype(np.float32)
    truth = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 60)]
    scores = with_auc(score(p, truth, ("a", "b", "c")), p, truth)
    expected = metrics.roc_auc_score(truth, p, average=None)
    assert scores.class_auc == pytest.approx(expected)
    assert scores.macro_auc == pytest.approx(expected.mean())
