"""The verbs on makers of images: from data to a run, its score, and pictures in a folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.datasets.files import write_image

TINY = ("epochs=1", "batch_size=2", "workers=0", "size=32", "model.blocks=1", "model.width=4")


@pytest.fixture(scope="module")
def run_folder(baimu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "nights"
    done = baimu("train", "cyclegan", "--data", "playground:train=3,val=2,size=32", "--out", out, *TINY)
    assert done.exit_code == 0, done.output
    assert "likeness" in done.stdout
    return out


def test_eval_prints_the_figures(baimu, run_folder: Path) -> None:
    done = baimu("eval", run_folder, "--data", "playground:train=3,val=2,size=32")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows[:2]] == ["likeness", "cycle_psnr"]


def test_predict_writes_pictures_of_the_domain_that_is_asked_for(baimu, run_folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_image(photos / "a.png", (30, 44))
    write_image(photos / "more" / "b.png", (20, 24))
    files = [tmp_path / "made.json", tmp_path / "made.csv"]
    words = ["--out", tmp_path / "day", "--set", "to=day", "--json", files[0], "--csv", files[1]]
    done = baimu("predict", run_folder, photos, *words)
    assert done.exit_code == 0, done.output
    assert "a.png: 44x30, day → " in done.stdout
    assert PIL.Image.open(tmp_path / "day" / "a.png").size == (44, 30)
    assert PIL.Image.open(tmp_path / "day" / "more" / "b.png").size == (24, 20)
    assert json.loads(files[0].read_text())[0]["made"] == {"height": 30, "width": 44, "kind": "day"}
    assert [*csv.DictReader(files[1].open())][1]["width"] == "24"
    other = baimu("predict", run_folder, photos / "a.png", "--out", tmp_path / "night")
    assert other.exit_code == 0, other.output
    pictures = [np.asarray(PIL.Image.open(tmp_path / kind / "a.png")) for kind in ("day", "night")]
    assert not np.array_equal(*pictures)


def test_data_and_the_recipe_are_told(baimu, tmp_path: Path) -> None:
    for i in range(4):
        write_image(tmp_path / f"{i}.png", (40, 50), seed=i)
    said = baimu("data", f"{tmp_path}:from=grey")
    assert said.exit_code == 0, said.output
    assert ["images", "4"] in [line.split() for line in said.stdout.splitlines()]
    said = baimu("train", "pix2pix", "--dry-run", "--data", f"{tmp_path}:from=grey")
    assert said.exit_code == 0, said.output
    fields = dict(line.split()[:2] for line in said.stdout.splitlines()[1:])
    assert (fields["epochs"], fields["hold"], fields["schedule"]) == ("200", "0.5", "linear")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "to=dawn"], "unknown domain 'dawn'"),
        (["--set", "tile=64"], "this model looks at whole images"),
        (["--set", "tile=-1"], "tile=-1: give pixels"),
        (["--set", "tile=small"], "tile=small: give a whole number"),
        (["--set", "titel=64"], "unknown option of generation 'titel'. Did you mean tile?"),
    ],
)
def test_wrong_options_end_in_one_message(
    baimu, run_folder: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    write_image(tmp_path / "a.png")
    done = baimu("predict", run_folder, tmp_path / "a.png", "--out", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
