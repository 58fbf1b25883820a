"""The verbs on a segmentation data set, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from baimu.cli.main import app
from baimu.datasets.playground import Playground

SEVERAL = ("--set", "scales=1,1.5", "--set", "flip=true")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes as files, with palette masks and a class file."""
    root = tmp_path_factory.mktemp("scenes")
    scenes = Playground(6, size=32, classes=("disc", "cross"))
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(6):
        Image.fromarray(scenes.image(i)).save(root / "images" / f"{i}.png")
        mask = Image.fromarray(scenes.semantic(i)).convert("P")
        mask.save(root / "masks" / f"{i}.png")
    (root / "classes.txt").write_text("background\ndisc\ncross\n")
    return root


def invoke(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_data_train_eval_predict(folder: Path, tmp_path: Path) -> None:
    said = invoke("data", folder)
    assert "label maps read" in said
    assert "no problems found" in said
    run = tmp_path / "run"
    words = ("epochs=1", "batch_size=2", "workers=0", "model.widths=4,4,8,8,8", "model.loss=cross_entropy+dice")
    said = invoke("train", "unet_s5_d16", "--data", folder, "--out", run, *words)
    assert "miou" in said
    assert (run / "report.html").exists()
    said = invoke("eval", run, "--data", folder, *SEVERAL, "--set", "window=24")
    assert said.startswith("miou ")
    for word, message in (
        ("scales=one", "scales=one: give a number, or several with commas between"),
        ("flip=perhaps", "flip=perhaps: give true or false"),
        ("window=0", "window=0: give pixels, at least 1"),
        ("scale=1", "unknown option of this evaluation 'scale'. Did you mean scales?"),
    ):
        done = CliRunner().invoke(app, ["eval", str(run), "--data", str(folder), "--set", word])
        assert done.exit_code == 2
        assert message in done.stderr
    out = tmp_path / "found"
    said = invoke(
        "predict", run, folder / "images" / "0.png", "--out", out, "--maps", tmp_path / "maps",
        "--json", tmp_path / "found.json", "--csv", tmp_path / "found.csv",
    )  # fmt: skip
    assert "0.png: " in said
    assert (out / "0.png").exists()
    with Image.open(tmp_path / "maps" / "0.png") as picture:
        labels = np.asarray(picture)
    (document,) = json.loads((tmp_path / "found.json").read_text())
    assert {row["label"]: row["pixels"] for row in document["areas"]} == {
        int(k): int((labels == k).sum()) for k in np.unique(labels)
    }
    rows = (tmp_path / "found.csv").read_text().splitlines()
    assert rows[0] == "source,name,label,pixels,share,score"
    assert len(rows) == 1 + len(document["areas"])
