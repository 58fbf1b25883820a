"""Predictions as files: nothing overwrites another picture or the source, and a recording ends when it is told to."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from baimu.errors import CheckpointError, DataError
from baimu.inference import batches
from baimu.inference.saving import save_predictions
from baimu.inference.sources import Images, Item

BOX = (30, 20, 60, 50)


@pytest.fixture
def photos(picture, tmp_path: Path) -> Path:
    """Three pictures, two of one name in different subfolders, one of a suffix that is not drawn to."""
    for name in ("a/1.png", "b/1.png", "b/2.bmp"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(picture(80, 100, BOX)).save(path)
    return tmp_path / "photos"


def names(out: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(out).as_posix() for path in paths]


def test_a_folder_keeps_its_subfolders(finder, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert names(out, save_predictions(finder, [str(photos)], out)) == ["a/1.png", "b/1.png", "b/2.png"]
    assert all(PIL.Image.open(path).size == (100, 80) for path in out.rglob("*.png"))


def test_pictures_of_one_name_are_numbered(finder, photos: Path, tmp_path: Path) -> None:
    sources = [str(photos / "a" / "1.png"), str(photos / "b" / "1.png"), str(photos / "*" / "1.png")]
    written = names(tmp_path / "out", save_predictions(finder, sources, tmp_path / "out"))
    assert written == ["1.png", "1-2.png", "1-3.png", "1-4.png"]


def test_a_second_call_writes_the_same_names(finder, photos: Path, tmp_path: Path) -> None:
    for _ in range(2):
        save_predictions(finder, [str(photos / "a")], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.png"]


def test_the_report_hears_of_every_image_and_its_file(finder, photos: Path, tmp_path: Path) -> None:
    heard = []
    save_predictions(
        finder,
        [str(photos)],
        tmp_path / "out",
        batch_size=2,
        score_threshold=0.5,
        report=lambda found, path: heard.append((Path(found.source).parts[-2:], found.class_names, path.name)),
    )
    assert heard == [
        (("a", "1.png"), ["red"], "1.png"),
        (("b", "1.png"), ["red"], "1.png"),
        (("b", "2.bmp"), ["red"], "2.png"),
    ]


def test_the_source_is_never_overwritten(finder, photos: Path) -> None:
    before = (photos / "a" / "1.png").read_bytes()
    with pytest.raises(DataError, match="would overwrite the image itself; choose another folder"):
        save_predictions(finder, [str(photos)], photos)
    assert (photos / "a" / "1.png").read_bytes() == before


def test_a_missing_source_is_answered_before_anything_is_written(finder, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        save_predictions(finder, [str(photos), "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(finder, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"out.*cannot be written.*choose another folder"):
        save_predictions(finder, [str(photos / "a")], tmp_path / "out")


def test_a_model_that_is_not_there_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no_run: there is no such checkpoint"):
        save_predictions(tmp_path / "no_run", [str(photos)], tmp_path / "out")


def test_ctrl_c_ends_a_recording_and_keeps_it(finder, picture, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("av")
    from baimu.inference.video import video_frames

    def camera(source: str) -> Images:
        def frames():
            for number in range(1000):
                if number == 5:
                    os.kill(os.getpid(), signal.SIGINT)
                yield Item(f"{source}#{number}", lambda: picture(64, 80, (10, 10, 30, 30)))

        return Images(frames(), endless=True)

    monkeypatch.setattr(batches, "open_images", camera)
    before = signal.getsignal(signal.SIGINT)
    [written] = save_predictions(finder, ["camera:0"], tmp_path)
    assert written.name == "camera-0.mp4"
    recorded = [np.asarray(frame).shape for frame in video_frames(str(written))]
    assert 5 <= len(recorded) < 10
    assert signal.getsignal(signal.SIGINT) is before


def test_an_unread_image_has_no_picture_but_keeps_its_name(finder, photos: Path, tmp_path: Path) -> None:
    (photos / "a" / "1.png").write_bytes(b"no image")
    heard = []
    sources = [str(photos / "a" / "1.png"), str(photos / "b" / "1.png")]
    written = save_predictions(
        finder, sources, tmp_path / "out", on_error="record", report=lambda found, path: heard.append(path)
    )
    assert names(tmp_path / "out", written) == ["1-2.png"]
    assert heard == [None, tmp_path / "out" / "1-2.png"]


def test_only_a_segmenter_makes_label_maps(finder, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only a segmenter makes label maps"):
        save_predictions(finder, [str(photos)], tmp_path / "out", maps=tmp_path / "maps")
