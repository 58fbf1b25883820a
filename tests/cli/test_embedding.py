"""The verbs on an embedder: characters to a run, its score, an index, a search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from baimu.datasets.characters import Characters
from tests.training import test_embedding

DATA = "playground:train=4,val=3,images=4,size=16"
QUICK = ("epochs=1", "batch_size=8", "workers=0", "precision=fp32")


@pytest.fixture(scope="module")
def trained(baimu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert test_embedding.small_arc  # its name is in the catalogue
    out = tmp_path_factory.mktemp("runs") / "characters"
    done = baimu("train", "small_arc", "--data", DATA, "--out", out, *QUICK, "model.margin=0.3")
    assert done.exit_code == 0, done.output
    assert "recall_at_1" in done.stdout
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, source = tmp_path_factory.mktemp("photos") / "drawings", Characters(range(3), 3, 16)
    for i in range(len(source)):
        place = root / f"{source.shown(i).identity}" / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.image(i)).save(place)
    return root


def test_eval_and_predict(baimu, trained: Path, photos: Path, tmp_path: Path) -> None:
    done = baimu("eval", trained, "--data", DATA)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("recall_at_1")
    done = baimu("predict", trained, photos / "0", "--out", tmp_path, "--json", tmp_path / "found.json")
    assert done.exit_code == 0, done.output
    assert len(json.loads((tmp_path / "found.json").read_text())[0]["embedding"]) == 8


def test_index_and_search(baimu, trained: Path, photos: Path, tmp_path: Path) -> None:
    done = baimu("index", photos, "--model", trained, "--workers", "0")
    assert done.exit_code == 0, done.output
    assert "9 images, 8 numbers each" in done.stdout
    index = photos.with_name("drawings.index")
    words = ("search", index, photos / "1", "--top", "3", "--out", tmp_path / "out", "--json", tmp_path / "found.json")
    done = baimu(*words)
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "found.json").read_text())
    assert [len(row["matches"]) for row in rows] == [3, 3, 3]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_wrong_words_end_in_one_message(baimu, trained: Path, photos: Path, tmp_path: Path) -> None:
    for words, message in (
        (("search", tmp_path / "no.index", photos), "there is no such index"),
        (("index", photos / "*" / "*.png", "--model", trained), "name a file with --out"),
        (("search", trained / "best.safetensors", photos), "is a checkpoint, not an index"),
    ):
        done = baimu(*words)
        assert done.exit_code == 2
        assert message in done.stderr
