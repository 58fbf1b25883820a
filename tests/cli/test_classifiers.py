"""The verbs on a classifier: class folders to a run, its score, its data, and model arguments beside recipe fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.weights.archive import read_document
from tests.datasets.files import write_classes
from tests.training import small_classes

QUICK = ("epochs=1", "batch_size=4", "workers=0", "precision=fp32")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("photos"), {"cat": 6, "dog": 5})


@pytest.fixture(scope="module")
def trained(baimu, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert small_classes.small_net  # its name is in the catalogue
    out = tmp_path_factory.mktemp("runs") / "cats"
    done = baimu("train", "small_net", "--data", photos, "--out", out, *QUICK, "model.dropout=0.4")
    assert done.exit_code == 0, done.output
    assert "top1" in done.stdout
    return out


def test_model_arguments_reach_the_model(trained: Path) -> None:
    name, arguments = read_document(trained / "best.safetensors")["model"]
    assert (name, arguments["dropout"], arguments["num_classes"]) == ("small_net", 0.4, 2)


def test_eval_prints_figures_and_classes(baimu, trained: Path, photos: Path) -> None:
    done = baimu("eval", trained, "--data", photos, "--val-fraction", "0.2")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0][0] == "top1"
    assert [row[0] for row in rows[2:]] == ["all", "cat", "dog"]


def test_data_counts_the_classes(baimu, photos: Path) -> None:
    rows = [line.split() for line in baimu("data", photos).stdout.splitlines()]
    assert ["cat", "6"] in rows
    assert ["dog", "5"] in rows
    assert ["no", "problems", "found"] in rows


def test_dry_run_shows_the_recipe_as_fitted(baimu, photos: Path) -> None:
    def values(*words: object) -> dict[str, str]:
        done = baimu("train", "small_net", "--dry-run", *words)
        return dict(line.split()[:2] for line in done.stdout.splitlines()[1:])

    published, fitted = values("seed=3"), values("--data", photos, "seed=3", "epochs=7")
    assert (published["epochs"], published["optimizer"], published["size"]) == ("90", "sgd", "224")
    assert (fitted["epochs"], fitted["optimizer"], fitted["size"], fitted["seed"]) == ("7", "adamw", "20", "3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.dropuot=1"], "dropuot"),
        (["model.=1"], "'model.=1' is not a setting"),
        (["drop_out=1"], "unknown recipe field 'drop_out'"),
    ],
)
def test_wrong_words_end_in_one_message(baimu, photos: Path, tmp_path: Path, words: list[str], message: str) -> None:
    done = baimu("train", "small_net", "--data", photos, "--out", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
