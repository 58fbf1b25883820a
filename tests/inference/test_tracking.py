"""``baimu.track``: a detector's results or a file's brought together, one object followed, drawn and written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import baimu
from baimu.datasets.formats.mot import read_mot
from baimu.errors import BaimuError, DataError, UnknownNameError
from baimu.inference.saving_tracks import save_tracks
from baimu.inference.tracking import Appearance
from baimu.results import Detections
from baimu.tracking.sort import Sort
from baimu.zoo import create_model
from tests.inference.conftest import RedFinder

FRAMES = 8


def frame(number: int) -> np.ndarray:
    """A red rectangle that moves 3 pixels a frame."""
    picture = np.full((64, 96, 3), 40, np.uint8)
    left = 10 + 3 * number
    picture[20:40, left : left + 16] = (255, 0, 0)
    return picture


def truth(number: int) -> list[float]:
    return [10.0 + 3 * number, 20, 26 + 3 * number, 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames as PNG, and det.txt and gt.txt beside them."""
    out = tmp_path_factory.mktemp("red") / "img1"
    out.mkdir()
    lines = []
    for number in range(FRAMES):
        Image.fromarray(frame(number)).save(out / f"{number + 1:06d}.png")
        x1, y1, x2, y2 = truth(number)
        lines.append(f"{number + 1},1,{x1},{y1},{x2 - x1},{y2 - y1},0.9,1,1\n")
    for name in ("gt", "det"):
        (out.parent / name).mkdir()
        (out.parent / name / f"{name}.txt").write_text("".join(lines))
    return out.parent


def test_a_detector_and_a_tracker_give_one_track(folder: Path) -> None:
    found = baimu.track(folder / "img1", model=RedFinder(), tracker="bytetrack", boxes="detected")
    assert [tracks.ids.tolist() for tracks in found] == [[1]] * FRAMES
    np.testing.assert_allclose([tracks.boxes[0] for tracks in found], [truth(i) for i in range(FRAMES)], atol=1.5)
    assert found[3].source.endswith("000004.png")
    assert found[3].draw().size == (96, 64)
    assert found[0].names == ("red", "other")


@pytest.mark.parametrize("tracker", ["sort", "bytetrack", "deepsort"])
def test_detections_of_a_file(folder: Path, tracker: str) -> None:
    options = {"embed": lambda picture, boxes: np.ones((len(boxes), 2))} if tracker == "deepsort" else {}
    found = baimu.track(folder, detections=folder / "det" / "det.txt", tracker=tracker, **options)
    told = [tracks for tracks in found if len(tracks)]
    assert len(told) >= FRAMES - 2
    assert {int(i) for tracks in told for i in tracks.ids} == {1}
    assert np.abs(told[-1].boxes[0] - truth(FRAMES - 1)).max() < 3


def test_detections_one_by_one_and_a_tracker_object() -> None:
    pictures = [frame(i) for i in range(FRAMES)]
    each = [
        Detections(np.array([truth(i)], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("car",), (64, 96))
        for i in range(FRAMES)
    ]
    found = baimu.track(pictures, detections=each, tracker=Sort(), stream=True)
    assert not isinstance(found, list)
    first = next(iter(found))
    assert first.image is not None
    assert len([first, *found]) == FRAMES


def test_one_object_is_followed_from_its_box(folder: Path) -> None:
    torch.manual_seed(0)
    model = create_model("siamfc_alexnet", width=0.05, search_size=191)
    found = baimu.track(folder, model=model, box=truth(0), device="cpu", scales=1)
    assert len(found) == FRAMES
    assert found[0].boxes[0].tolist() == truth(0)
    assert all(tracks.ids.tolist() == [1] and tracks.names == ("target",) for tracks in found)
    assert found[2].draw().size == (96, 64)


def test_an_embedder_says_what_boxes_look_like() -> None:
    torch.manual_seed(0)
    model = create_model(
        "reid_baseline_r18" if "reid_baseline_r18" in baimu.list_models() else "reid_baseline_r50"
    ).eval()
    appearance = Appearance(model, "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    boxes = np.array([[10.0, 10, 40, 70], [-30, -30, -10, -10], [10, 10, 40, 70]])
    vectors = appearance(picture, boxes)
    assert vectors.shape[0] == 3
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_what_is_missing_is_named(folder: Path) -> None:
    detections = folder / "det" / "det.txt"
    for options, error, match in (
        ({}, BaimuError, "give a model that detects or detections"),
        ({"detections": detections, "tracker": "bytetrak"}, UnknownNameError, "bytetrack"),
        ({"detections": detections, "bufer": 3}, UnknownNameError, "buffer"),
        ({"detections": detections, "tracker": "deepsort"}, BaimuError, "embed"),
        ({"detections": detections, "box": (1, 2, 3, 4)}, BaimuError, "one object"),
        ({"detections": detections, "tracker": Sort(), "max_age": 3}, BaimuError, "made already"),
    ):
        with pytest.raises(error, match=match):
            baimu.track(folder, **options)
    model = create_model("siamfc_alexnet", width=0.05)
    with pytest.raises(BaimuError, match="box="):
        baimu.track(folder, model=model)
    with pytest.raises(BaimuError, match="no area"):
        baimu.track(folder, model=model, box=(5, 5, 5, 9), device="cpu")
    with pytest.raises(UnknownNameError, match="scale_step"):
        baimu.track(folder, model=model, box=(5, 5, 9, 9), scale_stepp=1.1)


def test_frames_and_text_are_written(folder: Path, tmp_path: Path) -> None:
    told = save_tracks(folder, tmp_path, detections=folder / "det" / "det.txt")
    assert sorted(path.name for path in tmp_path.iterdir())[:2] == ["000001.png", "000002.png"]
    assert len(list(tmp_path.glob("*.png"))) == FRAMES
    drawn = np.asarray(Image.open(tmp_path / "000005.png"))
    assert (drawn != frame(4)).any()
    rows = read_mot(tmp_path / "tracks.txt")
    assert rows.frames.tolist() == list(range(1, FRAMES + 1))
    assert told[0].image is None
    assert told[0].read is None
    with pytest.raises(DataError, match="overwrite"):
        save_tracks(folder, folder / "img1", detections=folder / "det" / "det.txt")


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV")
def test_a_video_becomes_a_video(folder: Path, tmp_path: Path) -> None:
    from baimu.inference.video import save_video, video_frames

    clip = save_video(tmp_path / "clip.mp4", (frame(i) for i in range(FRAMES)))
    save_tracks(clip, tmp_path / "out", detections=folder / "det" / "det.txt")
    assert len(list(video_frames(str(tmp_path / "out" / "clip.mp4")))) == FRAMES
    save_tracks(folder, tmp_path / "film.mp4", detections=folder / "det" / "det.txt")
    assert (tmp_path / "film.mp4").exists()
    assert (tmp_path / "tracks.txt").exists()
