"""Video in and out through PyAV, and cameras that are not there."""

from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest

from baimu.errors import DataError
from baimu.inference.predictor import predict
from baimu.inference.sources import open_images
from baimu.inference.video import save_video, video_frames

pytest.importorskip("av")


def _boxes(count: int) -> list[tuple[int, int, int, int]]:
    return [(8 + 4 * i, 16, 40 + 4 * i, 48) for i in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_moving_box_survives_the_round_trip(suffix, finder, picture, tmp_path):
    boxes = _boxes(8)
    path = save_video(tmp_path / "sub" / f"clip{suffix}", (picture(64, 96, box) for box in boxes), fps=12.5)
    images = open_images(path)
    assert images.fps == pytest.approx(12.5)
    assert images.count is None
    results = list(predict(finder, path, stream=True, batch_size=3))
    assert [r.source for r in results] == [f"{path}#{i}" for i in range(8)]
    for found, box in zip(results, boxes, strict=True):
        np.testing.assert_allclose(found.boxes, [box], atol=2)
    assert results[0].image.shape == (64, 96, 3)


def test_odd_sizes_and_pil_frames(picture, tmp_path):
    path = save_video(tmp_path / "odd.mp4", [PIL.Image.fromarray(picture(33, 51, (5, 5, 20, 20)))] * 3)
    frames = list(video_frames(str(path)))
    assert [f.shape for f in frames] == [(34, 52, 3)] * 3
    assert np.abs(frames[0][:33, :51].astype(int) - picture(33, 51, (5, 5, 20, 20))).mean() < 6


@pytest.mark.parametrize(("degrees", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_a_phones_rotation_is_applied(degrees, turns, picture, tmp_path):
    """The display matrix in the file's header says how to hold it; frames come upright."""
    image = picture(64, 96, (8, 16, 40, 40))
    path = save_video(tmp_path / "phone.mp4", [image] * 2)
    one = 0x10000
    matrix = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[degrees]

    def fields(a, b, c, d):
        return b"".join(v.to_bytes(4, "big", signed=True) for v in (a, b, 0, c, d, 0, 0, 0, 0x40000000))

    data = path.read_bytes()
    header = data.index(b"tkhd")
    at = data.index(fields(one, 0, 0, one), header)
    path.write_bytes(data[:at] + fields(*matrix) + data[at + 36 :])
    upright = next(video_frames(str(path)))
    expected = np.rot90(image, turns)
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 6


def test_files_that_are_no_video(tmp_path, picture):
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"a\.mp4: cannot be opened as a video"):
        open_images(tmp_path / "a.mp4")
    with pytest.raises(DataError, match="a folder or a video by itself"):
        open_images([save_video(tmp_path / "b.mp4", [picture(32, 32, None)])])


def test_a_damaged_video(tmp_path):
    """Frames that can be read come first; then an error with the file's name, not a silent end."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(12)]
    path = save_video(tmp_path / "cut.mp4", frames)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 6000] = bytes(6000)
    path.write_bytes(data)
    read = []
    with pytest.raises(DataError, match=r"cut\.mp4: frame \d+ cannot be decoded"):
        read.extend(video_frames(str(path)))
    assert len(read) < 12


def test_video_that_cannot_be_written_leaves_nothing(picture, tmp_path):
    frame = picture(32, 32, None)
    with pytest.raises(DataError, match="no frames"):
        save_video(tmp_path / "a.mp4", [])
    with pytest.raises(DataError, match="one size"):
        save_video(tmp_path / "a.mp4", [frame, picture(40, 32, None)])
    with pytest.raises(DataError, match=r"a\.xyz: cannot be written"):
        save_video(tmp_path / "a.xyz", [frame])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        save_video(tmp_path / "file" / "a.mp4", [frame])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_without_pyav_the_install_line_is_given(monkeypatch, tmp_path, picture):
    path = save_video(tmp_path / "a.mp4", [picture(32, 32, None)])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"a\.mp4: .*pip install 'baimu\[video\]'"):
        open_images(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cameras are looked up in /dev")
@pytest.mark.parametrize("source", [97, "camera:97"])
def test_a_camera_that_is_not_there(source, finder):
    with pytest.raises(DataError, match=r"camera 97: there is no /dev/video97; cameras here:"):
        next(predict(finder, source, stream=True))
