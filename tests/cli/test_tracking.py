"""The verbs on trackers: one tiny run, its score, and ``baimu track`` with and without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.datasets.formats.mot import read_mot
from tests.datasets.test_sequences import write_mot_sequence, write_series

TINY = "playground:train=4,val=2,length=5,size=64"
QUICK = ("epochs=1", "batch_size=2", "pairs_per_epoch=2", "workers=0", "model.width=0.05", "model.search_size=159")


@pytest.fixture(scope="module")
def trained(baimu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "follow"
    done = baimu("train", "siamfc_alexnet", "--data", TINY, "--out", out, *QUICK)
    assert done.exit_code == 0, done.output
    assert "success_auc" in done.stdout
    return out


def test_the_run_folder_shows_pairs_and_followed_sequences(trained: Path) -> None:
    assert {"train_batches.png", "success.png", "worst.png", "best.png", "report.html"} <= {
        p.name for p in trained.iterdir()
    }
    assert "sequences" in (trained / "data.txt").read_text()
    page = (trained / "report.html").read_text()
    assert "Success and precision" in page


def test_eval_prints_a_row_for_each_sequence(baimu, trained: Path) -> None:
    done = baimu("eval", trained, "--data", TINY)
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [
        "sequence",
        "moving-1-000000",
        "moving-1-000001",
    ]


def test_a_named_object_is_followed(baimu, trained: Path, tmp_path: Path) -> None:
    series = write_series(tmp_path / "a", ["10,10,12,12"] * 3)
    done = baimu("track", series / "img", "--model", trained, "--box", "10,10,12,12", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1 tracks in 3 frames" in done.stdout
    assert read_mot(tmp_path / "out" / "tracks.txt").boxes[0].tolist() == [10, 10, 22, 22]
    wrong = baimu("track", series / "img", "--model", trained, "--box", "10;10")
    assert wrong.exit_code == 2
    assert "left,top,width,height" in wrong.output


def test_detections_are_brought_together_and_scored(baimu, tmp_path: Path) -> None:
    sequence = write_mot_sequence(tmp_path / "seq")
    truth = sequence / "gt" / "gt.txt"
    words = ("--detections", truth, "--truth", truth, "--set", "min_hits=0", "--set", "score_threshold=0.5")
    done = baimu("track", sequence, *words, "--tracker", "sort", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-2].split()[0] == "hota"
    assert lines[-1].split()[0] == "seq"
    assert len(list((tmp_path / "out").glob("*.png"))) == 6


def test_data_of_sequences(baimu, tmp_path: Path) -> None:
    write_mot_sequence(tmp_path / "seq")
    rows = [line.split() for line in baimu("data", tmp_path / "seq").stdout.splitlines()]
    assert ["sequences", "2"] in rows
