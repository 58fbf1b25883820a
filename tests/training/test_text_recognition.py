"""Readers in the engine: run folder, resume, evaluation, and data that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image, ImageDraw
from torch import nn

import baimu
from baimu import zoo
from baimu.datasets.lines import Lines
from baimu.datasets.open import open_data
from baimu.datasets.source import Splits
from baimu.draw.fonts import font
from baimu.errors import BaimuError, TrainingError
from baimu.layers.ragged import BiLSTM
from baimu.metrics.text import FIGURES, ReadingScores, score_readings
from baimu.text.crnn import CRNN, PAPER, crnn
from baimu.training.run import Run
from baimu.training.text_recognition import TextRecognitionTask, wide_enough
from baimu.weights.checkpoint import load
from tests.training.tiny import assert_same, weights_of

QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 4, "workers": 0, "precision": "fp32", "lr": 1e-3}


class Thin(nn.Module):
    """Columns from two strided convolutions: quick to run."""

    channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, (32, 4), (32, 4), padding=(0, 2))

    def forward(self, images: torch.Tensor, widths: torch.Tensor | None = None) -> torch.Tensor:
        return self.conv(images).squeeze(2).relu()


@zoo.model("small_reader", task="text_recognition", paper="1507.05717", recipe=PAPER)
def small_reader(num_classes: int = 36, *, hidden: int = 8) -> CRNN:
    """A reader for tests."""
    return CRNN(Thin(), num_classes=num_classes, hidden=hidden)  # pyright: ignore[reportArgumentType]


def write_lines(folder: Path, texts: list[str], name: str = "train") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, text in enumerate(texts):
        image = Image.new("L", (14 * len(text) + 12, 24), 230)
        ImageDraw.Draw(image).text((6, 2), text, 20, font(18))
        image.save(folder / f"{name}{i}.png")
        rows.append(f"{name}{i}.png\t{text}\n")
    (folder / f"{name}.txt").write_text("".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_lines(tmp_path_factory.mktemp("lines"), ["12", "AB", "1A", "BB", "21", "A2B", "B 1", "2"])
    return write_lines(folder, ["A1", "b2", "1?"], "val")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return baimu.train("small_reader", data, out=tmp_path_factory.mktemp("runs") / "first", **QUICK)


def test_the_run_folder_is_complete(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names - {"best.png", "mixes.png", "worst.png"} == {
        "best.safetensors", "curves.png", "data.txt", "labels.png", "last.safetensors", "problems.txt", "readings.txt",
        "recipe.yaml", "report.html", "results.csv", "train_batches.png",
    }  # fmt: skip
    assert set(run.scores) == set(FIGURES)
    assert "ctc" in run.history[-1]
    page = run.report.read_text()
    assert "Worst readings" in page
    assert "CER" in page
    assert "'1?' has '?' (U+003F), unknown to the training data" in (run.folder / "problems.txt").read_text()
    assert "both cases" in (run.folder / "problems.txt").read_text()


def test_the_model_knows_its_characters(run: Run) -> None:
    model: Any = load(run.folder)
    assert model.classes == tuple(" 12AB")
    assert model.preprocess.resize == "height"
    assert model.preprocess.channel_order == "grey"


def test_eval_of_the_file_is_the_score_of_the_run(run: Run, data: Path) -> None:
    scores = baimu.eval(run.folder, data, batch_size=2)
    assert isinstance(scores, ReadingScores)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6)
    val = open_data(data, kind="text_recognition").val
    found = [r.text for r in baimu.predict(run.folder, [val.image(i) for i in range(3)])]
    assert scores.figures() == score_readings(["A1", "B2", "1?"], found).figures()


def test_resume_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    baimu.train("small_reader", data, out=tmp_path / "part", **{**QUICK, "epochs": 1, "schedule": "constant"})
    straight = baimu.train("small_reader", data, out=tmp_path / "straight", **{**QUICK, "schedule": "constant"})
    again = baimu.train("small_reader", data, out=tmp_path / "part", resume=True, epochs=2)
    assert_same(weights_of(again.folder), weights_of(straight.folder))


def test_characters_move_by_name(run: Run, data: Path, tmp_path: Path) -> None:
    more = write_lines(tmp_path / "more", ["AX", "12", "X1", "B", "AB", "21"])
    other = baimu.train("small_reader", more, weights=run.folder, out=tmp_path / "out", **{**QUICK, "epochs": 1})
    assert other.model().classes == tuple("12ABX")


def test_recipe_for_few_lines() -> None:
    splits = open_data("playground:train=50,val=5", kind="text_recognition")
    fitted = TextRecognitionTask.fitted(PAPER, splits, scratch=True)
    assert (fitted.epochs, fitted.optimizer, fitted.resize, fitted.size) == (60, "adamw", "height", 32)
    assert fitted.distortion > 0
    assert TextRecognitionTask.fitted(PAPER, splits, scratch=False).lr < fitted.lr


def lines(folder: Path, *texts: str) -> Lines:
    source = open_data(write_lines(folder, [*texts, "1"]), kind="text_recognition", val=folder / "train.txt").train
    assert isinstance(source, Lines)
    return source


def test_lines_too_narrow_for_ctc_are_left_out_and_named(tmp_path: Path) -> None:
    source, model = lines(tmp_path, "12", "1 2"), crnn(3, hidden=8)
    assert wide_enough(source, model) is source
    sizes = np.array([[24, 2], [24, 30], [24, 30]], np.int32)  # as if the first were two pixels wide
    narrow = replace(source, pictures=replace(source.pictures, sizes=sizes))  # pyright: ignore[reportArgumentType]
    kept = wide_enough(narrow, model)
    assert [kept.text(i) for i in range(len(kept))] == ["1 2", "1"]
    told = str(kept.problems[0])
    assert "train0.png, train.txt, line 1: '12': needs 2 columns and is wide enough for 1 (line left out)" in told
    sizes[:, 1] = 1
    with pytest.raises(TrainingError, match="no line is wide enough"):
        wide_enough(narrow.select([0]), model)


def test_what_does_not_fit_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BaimuError, match="resize=height"):
        baimu.train("small_reader", data, out=tmp_path / "a", **QUICK, size=48)
    with pytest.raises(TrainingError, match="num_classes=3, the data 5 classes"):
        baimu.train(small_reader(3), data, out=tmp_path / "b", **QUICK)


def test_two_shares_make_one_score(run: Run, data: Path) -> None:
    """What two processes would read of the held-out lines is all of them, once."""
    from baimu.datasets.line_batches import eval_line_batches

    val = open_data(data, kind="text_recognition").val
    model: Any = run.model()
    every = [
        i
        for rank in range(2)
        for b in eval_line_batches(val, model.preprocess, 1, rank=rank, world=2)
        for i in b.indices
    ]
    assert sorted(every) == [0, 1, 2]
    task = TextRecognitionTask(Splits(val, val), model, PAPER.replace(batch_size=2), Accelerator(cpu=True))
    assert task.fingerprint["train_lines"] == 3
    assert isinstance(model.context, BiLSTM)
