"""Each verb calls the function of its name and prints; wrong input is one message and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import baimu as library
from baimu.cli.main import app
from baimu.errors import BaimuError

from .conftest import TINY

VERBS = (
    *("demo", "train", "eval", "predict", "explain", "track", "index", "search", "serve"),
    *("models", "export", "bench", "convert", "data", "env"),
)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example_that_starts_with_the_verb(baimu, verb: str) -> None:
    done = baimu(verb, "--help")
    assert done.exit_code == 0
    assert f"Example: baimu {verb}" in done.stdout


def test_the_verbs_are_the_functions(baimu) -> None:
    """``weights`` is a module of functions: see test_weights.py."""
    listed = baimu("--help").stdout.partition("Commands:")[2].split("\n")
    assert sorted(line.split()[0] for line in listed if line.strip()) == sorted([*VERBS, "weights"])
    assert set(VERBS) <= set(library.__all__)


def test_version(baimu) -> None:
    assert baimu("--version").stdout == f"baimu {library.__version__}\n"


def test_models_lists_what_matches(baimu) -> None:
    names = [line.split()[0] for line in baimu("models", "fcos_r*").stdout.splitlines()[1:]]
    assert names == library.list_models("fcos_r*")
    assert "no model matches" in baimu("models", "fcos_z*").stdout
    assert "unknown task 'sculpture'" in baimu("models", "--task", "sculpture").stderr


def test_env_names_what_a_report_needs(baimu) -> None:
    text = baimu("env").stdout
    for word in (library.__version__, "python", "torch", "hotcoco", "cores", "GiB", "devices"):
        assert word in text
    assert library.env().to_dict()["packages"]["torch"] is not None


def test_data_summarises(baimu) -> None:
    done = baimu("data", TINY)
    assert done.exit_code == 0
    assert done.stdout == f"{library.data(TINY)}\n"


def test_dry_run_prints_the_resolved_recipe_and_trains_nothing(baimu, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = baimu("train", "fcos_r18_fpn", "--dry-run", "epochs=7", "milestones=0.5,0.75")
    values = dict(line.split()[:2] for line in done.stdout.splitlines()[1:])
    assert (values["epochs"], values["milestones"]) == ("7", "0.5,0.75")
    assert not list(tmp_path.iterdir())


def test_demo_passes_folder_and_settings_on(baimu, monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr(library, "demo", lambda **arguments: asked.update(arguments), raising=False)
    assert baimu("demo", "--out", "here", "epochs=12").exit_code == 0
    assert asked == {"out": Path("here"), "epochs": 12}


def test_train_writes_a_run(run_folder: Path) -> None:
    for name in ("best.safetensors", "last.safetensors", "results.csv", "report.html"):
        assert (run_folder / name).stat().st_size > 0


def test_eval_prints_the_scores(baimu, run_folder: Path) -> None:
    done = baimu("eval", run_folder, "--data", TINY)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{library.eval(run_folder, TINY)}\n"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures of one name in different folders."""
    for folder, shade in (("a", 90), ("b", 160)):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        PIL.Image.new("RGB", (80, 64), (shade,) * 3).save(tmp_path / "photos" / folder / "1.jpg")
    return tmp_path / "photos"


def test_predict_draws_each_image_and_writes_json(baimu, run_folder: Path, photos: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "out", tmp_path / "found.json"
    done = baimu("predict", run_folder, photos / "a", photos / "b" / "1.jpg", "--out", out, "--json", found)
    assert done.exit_code == 0, done.output
    sources = [entry["source"] for entry in json.loads(found.read_text())]
    assert sources == [str(photos / "a" / "1.jpg"), str(photos / "b" / "1.jpg")]
    assert len(list(out.iterdir())) == 2, "pictures of one name must not overwrite each other"
    assert all(PIL.Image.open(path).size == (80, 64) for path in out.iterdir())


def test_predict_turns_video_into_video(baimu, run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from baimu.inference.video import save_video, video_frames

    clip = save_video(tmp_path / "clip.mp4", [np.full((64, 80, 3), shade, np.uint8) for shade in (40, 80, 120)], 5)
    done = baimu("predict", run_folder, clip, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4"]
    assert len(list(video_frames(str(tmp_path / "out" / "clip.mp4")))) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "fcos_r18_fpn", "--data", TINY, "epoch=1"], "unknown recipe field 'epoch'. Did you mean epochs?"),
        (["train", "fcos_r18_fpn", "--data", TINY, "epochs"], "'epochs' is not a setting; write key=value"),
        (["train", "fcos_r17_fpn", "--data", TINY], "unknown model 'fcos_r17_fpn'. Did you mean"),
        (["train", "fcos_r18_fpn", "--data", "nowhere"], "nowhere"),
        (["train", "fcos_r18_fpn"], "--data"),
        (["eval", "nowhere", "--data", TINY], "nowhere"),
        (["predict", "nowhere", "photo.jpg"], "nowhere: there is no such checkpoint"),
        (["data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(baimu, tmp_path, monkeypatch, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    done = baimu(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not done.stdout.strip()


def test_debug_keeps_the_traceback(baimu, monkeypatch) -> None:
    assert isinstance(baimu("--debug", "data", "nowhere").exception, BaimuError)
    monkeypatch.setenv("BAIMU_DEBUG", "1")
    assert isinstance(baimu("data", "nowhere").exception, BaimuError)


def test_an_interrupt_leaves_with_130(monkeypatch) -> None:
    def interrupted(source: str, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "data", interrupted, raising=False)
    with pytest.raises(SystemExit) as end:
        app(["data", TINY])
    assert end.value.code == 130


def test_python_m_baimu_is_the_command() -> None:
    code = [sys.executable, "-m", "baimu", "--version"]
    done = subprocess.run(code, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONUTF8": "1"})
    assert done.stdout == f"baimu {library.__version__}\n"
