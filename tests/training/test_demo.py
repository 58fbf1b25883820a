"""The demo's settings hold together. What it learns is shown by running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.datasets.open import open_data
from baimu.datasets.source import Splits
from baimu.detection.detector import Detector
from baimu.training import demo as module
from baimu.training.demo import ARGUMENTS, DATA, MODEL, RECIPE, demo
from baimu.training.run import Run
from baimu.zoo import recipe_of


def test_the_demo_scores_200_unseen_scenes() -> None:
    splits = open_data(DATA)
    assert len(splits.val) == 200
    assert splits.val.size(0) == (RECIPE["size"], RECIPE["size"])
    assert recipe_of(MODEL).replace(**RECIPE).epochs == RECIPE["epochs"]


def test_no_demo_overwrites_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(model: Detector, data: Splits, *, out: Path, **changes: object) -> Run:
        assert model.spec == (MODEL, {"num_classes": len(data.train.classes), **ARGUMENTS})
        assert changes == {**RECIPE, "epochs": 1}
        out.mkdir()
        (out / "results.csv").write_text("")
        return Run(out)

    monkeypatch.setattr(module, "train", pretend)
    folders = [demo(tmp_path / "demo", epochs=1).folder.name for _ in range(3)]
    assert folders == ["demo", "demo-2", "demo-3"]
