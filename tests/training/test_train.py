"""``baimu.train`` from a name and a data set to a run folder, and each way in which it refuses."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

import baimu
from baimu.datasets.playground import Playground
from baimu.datasets.source import Splits
from baimu.errors import BaimuError, CheckpointError, DataError, TrainingError, UnknownNameError
from baimu.results import Detections
from baimu.training import detection
from baimu.training import train as train_module
from baimu.training.run import Run
from baimu.weights.archive import read_document
from tests.training.small import CLASSES, QUICK, small_data, small_fcos
from tests.training.tiny import assert_same, weights_of

FILES = {
    "best.safetensors", "confusion_matrix.png", "curves.png", "data.txt", "labels.png", "last.safetensors",
    "pr_curves.png", "predictions.png", "problems.txt", "recipe.yaml", "report.html", "results.csv",
    "train_batches.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return baimu.train("small_fcos", small_data(), out=tmp_path_factory.mktemp("runs") / "first", **QUICK)


def test_the_run_folder_is_complete(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert [row["step"] for row in run.history] == [1, 2, 3, 4]
    assert set(run.history[-1]) >= {"cls", "box", "center", "loss", "lr", "box_ap", "seconds"}
    assert 0 < run.scores["box_ar_100"] <= 1
    data = (run.folder / "data.txt").read_text()
    assert "objects an image" in data
    assert "no problems found" in data
    page = run.report.read_text()
    assert page.count("<img ") == 6
    assert "Predictions on held-out images" in page
    assert 'src="http' not in page
    assert "href=" not in page


def test_the_model_of_a_run_predicts(run: Run) -> None:
    model = run.model()
    assert not model.training
    assert model.classes == CLASSES
    assert (model.preprocess.size, model.preprocess.max_size) == (64, 64)
    assert model.spec == ("small_fcos", {"scratch": True, "num_classes": 3})
    found = model.predict(Playground(3, 64, classes=CLASSES), score_threshold=0.0)
    assert len(list(found)) == 3


def test_eval_of_the_file_is_the_score_of_the_run(run: Run) -> None:
    scores = baimu.eval(run.folder, small_data(), batch_size=2)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    again = baimu.eval(run.model(), small_data().val)
    assert again.box_ap == pytest.approx(scores.box_ap, abs=1e-6)


def test_eval_refuses_other_classes(run: Run) -> None:
    with pytest.raises(CheckpointError, match="model knows the classes disc, square, star; the data has heart"):
        baimu.eval(run.folder, Playground(3, 64, classes=["heart"]))


def test_classes_are_matched_by_name(run: Run) -> None:
    """Whatever their order; what is found of a class that the data lacks is nobody's, as in COCO's own tool."""
    boxes = np.array([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    found = Detections(boxes, scores, np.array([0, 1, 2]), ("star", "ring", "disc"), (64, 64))
    source = Playground(6, 64, classes=["disc", "star"])
    matched = detection._in_classes_of(source, found)
    assert matched.names == ("disc", "star")
    assert matched.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(matched.boxes, boxes[[0, 2]])
    rows = baimu.eval(run.model(), source).table()  # of a model that knows disc, square and star
    assert [row["class"] for row in rows] == ["all", "disc", "star"]


def test_a_stopped_run_continues_bit_for_bit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Augmentation, worker processes, batch norm and the average included; stopped by Ctrl-C in mid-epoch."""
    changes = {**QUICK, "flip": 0.5, "color_jitter": 0.3, "mosaic": 0.5, "save_every": 1, "accumulate": 2, "epochs": 3}
    straight = baimu.train("small_fcos", small_data(), out=tmp_path / "straight", **changes)

    real, calls = train_module.fit.__globals__["optimise"], []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setitem(train_module.fit.__globals__, "optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baimu.train("small_fcos", small_data(), out=tmp_path / "broken", **changes)
    assert "last.safetensors holds step 3. Continue with resume=True" in capsys.readouterr().out
    continued = baimu.train("small_fcos", small_data(), resume=tmp_path / "broken", workers=2)
    assert_same(weights_of(straight.folder), weights_of(continued.folder))
    assert_same(weights_of(straight.folder, "best.safetensors"), weights_of(continued.folder, "best.safetensors"))


def test_resume_with_nothing_saved_starts_at_the_beginning(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    again = baimu.train("small_fcos", small_data(), out=tmp_path / "out", resume=True, **QUICK)
    assert_same(weights_of(run.folder), weights_of(again.folder))


def test_a_folder_of_something_else_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("to do")
    with pytest.raises(TrainingError, match="no run to continue; give a run folder, or start without resume"):
        baimu.train("small_fcos", small_data(), out=tmp_path, resume=True, **QUICK)


def test_only_the_length_of_a_run_may_change(run: Run) -> None:
    with pytest.raises(TrainingError, match=r"begun with lr=0\.01, which cannot change.*weights="):
        baimu.train("small_fcos", small_data(), resume=run.folder, lr=0.02)


def test_resume_knows_its_data_and_its_model_again(run: Run) -> None:
    with pytest.raises(CheckpointError, match=r"begun with train_images = 10, the data now has 11"):
        baimu.train("small_fcos", small_data(11), resume=run.folder)
    with pytest.raises(CheckpointError, match=r"is a training of small_fcos, not of retinanet_r18_fpn"):
        baimu.train("retinanet_r18_fpn", small_data(), resume=run.folder)


def test_resume_of_a_damaged_file_is_refused(run: Run, tmp_path: Path) -> None:
    data = bytearray(run.last.read_bytes())
    data[-1] ^= 1
    (tmp_path / "last.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"last\.safetensors: damaged"):
        baimu.train("small_fcos", small_data(), resume=tmp_path)
    with pytest.raises(CheckpointError, match=r"last\.safetensors: damaged"):
        baimu.load(tmp_path)


def test_weights_start_a_run_for_other_classes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = Splits(*(Playground(n, 64, n, classes=["heart", "key"]) for n in (8, 4)))
    fresh = baimu.train("small_fcos", two, out=tmp_path / "two", weights=run.folder, lr=1e-9, **{**QUICK, "epochs": 1})
    said = capsys.readouterr().out
    assert "classes that start fresh: heart, key (2); fresh: head.classify.weight, head.classify.bias (2)" in said
    before, after = weights_of(run.folder, "best.safetensors"), weights_of(fresh.folder, "best.safetensors")
    torch.testing.assert_close(before["model.head.regress.weight"], after["model.head.regress.weight"])
    assert after["model.head.classify.weight"].shape[0] == 2


def test_rows_of_a_head_come_along_by_the_name_of_their_class(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Splits(*(Playground(n, 64, n, classes=["key", "star"]) for n in (8, 4)))
    again = baimu.train("small_fcos", data, out=tmp_path / "two", weights=run.folder, lr=1e-9, **{**QUICK, "epochs": 1})
    assert "classes that come along by name: star (1); classes that start fresh: key (1)\n" in capsys.readouterr().out
    before, after = weights_of(run.folder, "best.safetensors"), weights_of(again.folder, "best.safetensors")
    star = before["model.head.classify.weight"][CLASSES.index("star")]
    torch.testing.assert_close(after["model.head.classify.weight"][data.train.classes.index("star")], star)


def test_a_model_object_is_trained_in_place_and_loaded_into_its_like(tmp_path: Path) -> None:
    network = small_fcos(3)
    before = network.head.classify.weight.detach().clone()
    done = baimu.train(network, small_data(), out=tmp_path / "out", epochs=1, batch_size=4, workers=0, size=64)
    assert not torch.equal(before, network.head.classify.weight)
    with pytest.raises(CheckpointError, match=r"baimu\.load\(path, model=…\)"):
        baimu.load(done.folder)
    assert baimu.load(done.folder, model=small_fcos(3)).classes == CLASSES
    with pytest.raises(CheckpointError, match=r"(?s)another model .*\(3, 32, 3, 3\) in the file, \(2, 32, 3, 3\) in"):
        baimu.load(done.folder, model=small_fcos(2))


def test_a_model_for_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"num_classes=5, the data 3 classes \(disc, square, star\)"):
        baimu.train(small_fcos(5), small_data(), out=tmp_path / "out")


def test_folders(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {**QUICK, "epochs": 1}
    folders = [baimu.train("small_fcos", small_data(), **quick).folder for _ in range(2)]
    assert [str(folder) for folder in folders] == ["runs/small_fcos-1", "runs/small_fcos-2"]
    newest = baimu.train("small_fcos", small_data(), resume=True, epochs=2).folder
    assert newest == folders[1]
    assert read_document(newest / "last.safetensors")["place"]["epoch"] == 2
    with pytest.raises(TrainingError, match=r"holds a run already \(last\.safetensors\); continue it with resume=True"):
        baimu.train("small_fcos", small_data(), out=run.folder)
    with pytest.raises(TrainingError, match="no run to continue"):
        baimu.train("small_fcos", small_data(), resume="absent")


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"file/out: cannot be written \(Not a directory\); choose another out"):
        baimu.train("small_fcos", "no such data", out=tmp_path / "file" / "out")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.geteuid() == 0:  # root writes anywhere: refuse in its place
        monkeypatch.setattr(Path, "write_bytes", _refuse)
    with pytest.raises(TrainingError, match=r"closed: cannot be written \(Permission denied\)"):
        baimu.train("small_fcos", "no such data", out=closed)


def _refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "smal_fcos"}, UnknownNameError, r"unknown model 'smal_fcos'"),
        ({"epoch": 3}, UnknownNameError, r"unknown recipe field 'epoch'\. Did you mean epochs"),
        ({"lr": -1}, BaimuError, "lr=-1"),
        ({"data": "absent"}, DataError, "absent"),
        ({"batch_size": 5, "accumulate": 2}, BaimuError, "batch_size=5 must be a multiple"),
        ({"weights": "absent.safetensors"}, CheckpointError, "absent.safetensors: there is no such checkpoint"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict, error: type[Exception], message: str) -> None:
    given = {"model": "small_fcos", "data": small_data(), **arguments}
    with pytest.raises(error, match=message):
        baimu.train(out=tmp_path / "out", **given)
    assert not (tmp_path / "out" / "results.csv").exists()


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    whole = Playground(4, 64, classes=CLASSES)
    with pytest.raises(DataError, match=r"the val split holds no image"):
        baimu.train("small_fcos", Splits(whole, whole.select([])), out=tmp_path / "out")
