"""Segmenters in the same engine: run folder, resume, processes, evaluation, and data that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import baimu
from baimu.datasets.label_maps import SceneMaps
from baimu.datasets.playground import Playground
from baimu.datasets.source import Splits
from baimu.errors import BaimuError, CheckpointError, TrainingError, UnknownNameError
from baimu.metrics.segmentation import FIGURES, MapScores
from baimu.recipes import cityscapes_40k
from baimu.training import train as train_module
from baimu.training.assemble import build_accelerator
from baimu.training.map_fitting import fitted_maps
from baimu.training.run import Run
from baimu.training.segmentation import SegmentationTask
from tests.training.test_distributed import in_two_processes
from tests.training.tiny import assert_same, weights_of

FILES = {
    "best.safetensors", "classes.png", "confusion_matrix.png", "curves.png", "data.txt", "labels.png",
    "last.safetensors", "predictions.png", "problems.txt", "recipe.yaml", "report.html", "results.csv",
    "train_batches.png", "worst.png",
}  # fmt: skip
CLASSES = ("disc", "cross")
QUICK: dict[str, Any] = {
    "epochs": 2, "batch_size": 2, "workers": 0, "precision": "fp32", "channels_last": False, "eval_every": 1,
    "arguments": {"widths": (4, 4, 8, 8, 8)},
}  # fmt: skip


def scenes(train: int = 6, val: int = 3, size: int = 32) -> Splits[Any]:
    parts = (Playground(count, size=size, seed=seed, classes=CLASSES) for seed, count in ((1, train), (2, val)))
    return Splits(*map(SceneMaps, parts))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return baimu.train("unet_s5_d16", scenes(), out=tmp_path_factory.mktemp("runs") / "first", **QUICK)


def test_the_run_folder_is_complete(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert tuple(run.scores) == FIGURES
    assert {"cross_entropy", "auxiliary", "loss", "lr", "miou"} <= set(run.history[-1])
    assert "disc" in (run.folder / "data.txt").read_text()
    assert "mean IoU" in run.report.read_text()


def test_the_model_knows_its_data(run: Run) -> None:
    model: Any = run.model()
    assert model.classes == ("background", *CLASSES)
    assert model.spec == ("unet_s5_d16", {"num_classes": 3, "widths": [4, 4, 8, 8, 8]})
    assert (model.preprocess.resize, model.preprocess.size) == ("shortest", 32)


def test_eval_of_the_file_is_the_score_of_the_run(run: Run) -> None:
    scores = baimu.eval(run.folder, scenes(), batch_size=2)
    assert isinstance(scores, MapScores)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    found: Any = baimu.predict(run.model(), [scenes().val.image(i) for i in range(3)])
    right = [found[i].labels == scenes().val.label_map(i) for i in range(3)]
    assert scores.aacc == pytest.approx(np.mean(right))
    several = baimu.eval(run.folder, scenes(), scales=(1.0, 1.5), flip=True)
    assert isinstance(several, MapScores)
    assert several.confusion.sum() == scores.confusion.sum()
    with pytest.raises(UnknownNameError, match="scales"):
        baimu.eval(run.folder, scenes(), scale=2)


def test_a_stopped_run_continues_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {**QUICK, "save_every": 1, "accumulate": 2, "ema_decay": 0.9, "vertical_flip": 0.5}
    straight = baimu.train("unet_s5_d16", scenes(), out=tmp_path / "straight", **changes)
    real, calls = train_module.fit.__globals__["optimise"], []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setitem(train_module.fit.__globals__, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baimu.train("unet_s5_d16", scenes(), out=tmp_path / "broken", **changes)
    continued = baimu.train("unet_s5_d16", scenes(), resume=tmp_path / "broken", workers=1)
    for name in ("last.safetensors", "best.safetensors"):
        assert_same(weights_of(straight.folder, name), weights_of(continued.folder, name))


def test_two_processes_score_as_one(run: Run, tmp_path: Path) -> None:
    """Three images for two processes: one has an image more."""
    expected = baimu.eval(run.folder, scenes()).figures()

    def work(rank: int) -> None:
        accelerator = build_accelerator(cityscapes_40k, tmp_path)
        scores = SegmentationTask.score_model(run.model(), scenes().val, batch_size=2, accelerator=accelerator)
        assert scores.images == 3, rank
        assert scores.figures() == pytest.approx(expected, abs=1e-6, nan_ok=True)

    in_two_processes(work)


def test_a_run_starts_from_another_with_other_classes(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = SceneMaps(Playground(4, size=32, classes=("cross", "ring")))
    baimu.train("unet_s5_d16", Splits(other, other), out=tmp_path / "out", weights=run.folder, **{**QUICK, "epochs": 1})
    assert "classes that come along by name: background, cross" in capsys.readouterr().out


def test_recipes_are_fitted_to_the_images() -> None:
    small = fitted_maps(cityscapes_40k, scenes(size=100), scratch=True)
    assert (small.size, small.train_crop, small.optimizer, small.lr) == (96, (96, 96), "adamw", 2e-3)
    assert small.epochs == 100
    assert fitted_maps(cityscapes_40k, scenes(size=100), scratch=False).lr == 3e-4
    large: Splits[Any] = Splits(SceneMaps(Playground(3000, size=64)), scenes().val)
    assert fitted_maps(cityscapes_40k, large, scratch=True).optimizer == "sgd"


def test_data_and_recipes_that_do_not_fit(run: Run, tmp_path: Path) -> None:
    other = SceneMaps(Playground(3, size=32, classes=("ring",)))
    with pytest.raises(TrainingError, match="make them equal"):
        baimu.train("unet_s5_d16", Splits(scenes().train, other), out=tmp_path / "a", **QUICK)
    with pytest.raises(BaimuError, match="resize=crop cuts pixels away"):
        baimu.train("unet_s5_d16", scenes(), out=tmp_path / "b", **QUICK, resize="crop")
    with pytest.raises(BaimuError, match="mosaic is not for segmenters"):
        baimu.train("unet_s5_d16", scenes(), out=tmp_path / "c", **QUICK, mosaic=0.5)
    with pytest.raises(CheckpointError, match="evaluate on data of these classes"):
        baimu.eval(run.folder, other)
