"""Sequences with an object to follow: the formats, the moving playground, and the pairs that are cut from them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baimu.datasets.formats.mot import TrackRows, open_sequence, read_mot, write_mot
from baimu.datasets.formats.sequences import find_sequences, find_tracks, read_boxes
from baimu.datasets.moving import MovingPlayground
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.pairs import train_pairs
from baimu.datasets.sequence_summary import summarize_sequences
from baimu.datasets.sequences import boxes_of
from baimu.datasets.source import SequenceSource
from baimu.errors import DataError, ImageError
from baimu.recipes import Recipe
from baimu.results import Tracks


def write_frames(folder: Path, count: int, size: tuple[int, int] = (40, 60)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(np.full((*size, 3), 10 * i, np.uint8)).save(folder / f"{i + 1:04d}.png")


def write_series(folder: Path, lines: list[str], frames: str = "img", truth: str = "groundtruth_rect.txt") -> Path:
    write_frames(folder / frames, len(lines))
    (folder / truth).write_text("\n".join(lines) + "\n")
    return folder


def test_otb_got10k_and_vot_are_read_alike(tmp_path: Path) -> None:
    write_series(tmp_path / "a", ["1,2,10,20", "2\t3\t10\t20", "3 4 10 20"])
    write_series(tmp_path / "b", ["0,0,10,20"] * 3, frames=".", truth="groundtruth.txt")
    (tmp_path / "b" / "absence.label").write_text("0\n1\n0\n")
    write_series(
        tmp_path / "c", ["5,5,25,7,24,27,4,25", "NaN,NaN,NaN,NaN", "1,1,9,9"], frames="color", truth="groundtruth.txt"
    )
    source = find_sequences(tmp_path)["all"]()
    assert [source.image_id(i) for i in range(3)] == ["a", "b", "c"]
    assert boxes_of(source, 0).tolist() == [[1, 2, 11, 22], [2, 3, 12, 23], [3, 4, 13, 24]]
    assert np.isnan(boxes_of(source, 1)).all(1).tolist() == [False, True, False]
    assert source.box(2, 0).tolist() == [4, 5, 25, 27]
    assert np.isnan(source.box(2, 1)).all()
    assert source.size(0) == (40, 60)
    assert int(source.frame(0, 2)[0, 0, 0]) == 20
    assert isinstance(source, SequenceSource)
    part = source.select([2, 0])
    assert [part.image_id(i) for i in range(2)] == ["c", "a"]
    assert part.box(1, -1).tolist() == [3, 4, 13, 24]


def test_one_series_and_splits(tmp_path: Path) -> None:
    series = write_series(tmp_path / "alone", ["1,2,10,20"] * 2)
    assert find_sequences(series)["all"]().image_id(0) == "alone"
    for split in ("train", "val"):
        write_series(tmp_path / "data" / split / f"{split}1", ["1,2,10,20"] * 2)
    opened = open_data(tmp_path / "data", kind="sequences")
    assert opened.train.image_id(0) == "train1"
    assert opened.val.image_id(0) == "val1"
    assert list(splits(tmp_path / "data")) == ["train", "val"]


def test_what_is_wrong_with_a_series_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "good", ["1,2,10,20"] * 3)
    longer = write_series(tmp_path / "longer", ["1,2,10,20"] * 3)
    (longer / "groundtruth_rect.txt").write_text("1,2,10,20\n" * 5)
    write_series(tmp_path / "empty", ["0,0,0,0"] * 3)
    source = find_sequences(tmp_path)["all"]()
    assert [source.image_id(i) for i in range(len(source))] == ["good", "longer"]
    told = "\n".join(map(str, source.problems))
    assert "5 lines, but there are 3 frames" in told
    assert "fewer than two frames have a box (sequence left out)" in told
    (longer / "groundtruth_rect.txt").write_text("1,2,10,20\n1,2,x,20\n")
    with pytest.raises(DataError, match="line 2: '1,2,x,20'"):
        read_boxes(longer / "groundtruth_rect.txt")
    Image.new("RGB", (9, 9)).save(tmp_path / "good" / "img" / "0002.png")
    with pytest.raises(ImageError, match=r"0002\.png: is 9x9"):
        find_sequences(tmp_path / "good")["all"]().frame(0, 1)


def write_mot_sequence(folder: Path) -> Path:
    write_frames(folder / "img1", 6)
    (folder / "gt").mkdir()
    rows = [
        "1,1,5,5,10,12,1,3,1",
        "2,1,6,5,10,12,1,3,1",
        "4,1,8,5,10,12,1,3,1",
        "3,2,20,9,8,8,1,3,1",
        "4,2,21,9,8,8,1,3,1",
    ]
    (folder / "gt" / "gt.txt").write_text("\n".join([*rows, "2,3,0,0,5,5,0,3,1", "3,3,0,0,5,5,0,3,1"]))
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=cars\nimDir=img1\nframeRate=12.5\n")
    return folder


def test_tracks_of_motchallenge_are_series_of_their_own(tmp_path: Path) -> None:
    source = find_tracks(write_mot_sequence(tmp_path / "seq"))["all"]()
    assert [source.image_id(i) for i in range(2)] == ["cars#1", "cars#2"]
    assert source.frames(0) == 4
    assert source.box(0, 1).tolist() == [6, 5, 16, 17]
    assert np.isnan(source.box(0, 2)).all()
    assert int(source.frame(1, 0)[0, 0, 0]) == 20  # track 2 begins with frame 3
    assert len(source) == 2  # what does not count is no track


def test_motchallenge_files_come_back(tmp_path: Path) -> None:
    sequence = open_sequence(write_mot_sequence(tmp_path / "seq"))
    assert (sequence.name, sequence.fps, sequence.size, len(sequence.frames)) == ("cars", 12.5, (40, 60), 6)
    found = [
        Tracks(np.array([[1, 2, 11, 22.5]], np.float32), np.array([0.75], np.float32), np.zeros(1, np.int64), ("car",),
               (40, 60), ids=np.array([7])),
        Tracks(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("car",), (40, 60),
               ids=np.zeros(0, np.int64)),
    ]  # fmt: skip
    rows = read_mot(write_mot(tmp_path / "out" / "tracks.txt", found))
    assert (rows.frames.tolist(), rows.ids.tolist()) == ([1], [7])
    np.testing.assert_allclose(rows.boxes, [[1, 2, 11, 22.5]])
    assert rows.scores.tolist() == [0.75]
    np.testing.assert_allclose(TrackRows.of_tracks(found).boxes, rows.boxes)
    here = rows.detections(1, (40, 60), "frame")
    assert here.boxes.tolist() == [[1, 2, 11, 22.5]]
    assert len(rows.detections(2, (40, 60))) == 0


def test_bad_lines_of_motchallenge_are_named(tmp_path: Path) -> None:
    file = tmp_path / "det.txt"
    for text, match in (
        ("1,2,3\n", "line 1"),
        ("1,-1,0,0,5,5,1\n0,-1,0,0,5,5,1\n", "line 2"),
        ("1,-1,0,0,0,5,1\n", "line 1"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=match):
            read_mot(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_mot(tmp_path / "none.txt")


def test_moving_scenes_are_functions_of_their_number() -> None:
    moving = MovingPlayground(4, length=6, size=(64, 96), seed=3)
    again = pickle.loads(pickle.dumps(moving)).select([2])
    assert np.array_equal(moving.frame(2, 4), again.frame(0, 4))
    np.testing.assert_array_equal(boxes_of(moving, 2), boxes_of(again, 0))
    assert moving.frame(1, 0).shape == (64, 96, 3)
    assert MovingPlayground(1, first=2, length=6, size=(64, 96), seed=3).name(0) == moving.name(2)


def test_moving_things_move_and_are_boxed_tightly() -> None:
    moving = MovingPlayground(6, length=12, size=96)
    steps = []
    for i in range(len(moving)):
        boxes = boxes_of(moving, i)
        assert np.isfinite(boxes[0]).all()
        known = boxes[np.isfinite(boxes).all(1)]
        steps.append(np.abs(np.diff(known, axis=0)).max())
        rows = moving.tracks(i)
        own = [
            n
            for n in np.unique(rows.ids)
            if np.array_equal(rows.boxes[(rows.ids == n) & (rows.frames == 1)][0], boxes[0])
        ]
        assert len(own) == 1  # the thing that is followed is one of the tracks
        assert (known[:, :2] >= 0).all()
        assert (known[:, 2:] <= 96).all()
    assert np.median(steps) > 0.5


def test_moving_scenes_refuse_nonsense() -> None:
    for options in ({"length": 1}, {"size": 8}, {"objects": (0, 2)}, {"seed": -1}):
        with pytest.raises(DataError):
            MovingPlayground(2, **options)
    assert len(open_source("playground:train=2,val=3,length=4,size=48", kind="sequences")) == 3


RECIPE = Recipe(batch_size=4, pairs_per_epoch=8, workers=0, flip=0.0, frame_range=3)


def test_pairs_show_the_target_where_they_say() -> None:
    moving = MovingPlayground(3, length=6, size=96)
    batch = next(iter(train_pairs(moving, RECIPE, (63, 127), epoch=0)))
    assert batch.inputs.shape == (4, 3, 127, 127)
    assert batch.targets.exemplars.shape == (4, 3, 63, 63)
    assert batch.targets.positive.all()
    centres = (batch.targets.boxes[:, :2] + batch.targets.boxes[:, 2:]) / 2
    assert (centres - 63.5).abs().max() < 1.5  # without jitter in the middle, but for whole pixels
    sides = batch.targets.boxes[:, 2:] - batch.targets.boxes[:, :2]
    assert ((sides[:, 0] + sides[:, 1]) / 2 < 63).all()


def test_jitter_moves_pixels_and_boxes_together() -> None:
    """A white square on black: its pixels in the search image are where the box says."""

    class Square:
        classes, problems = (), ()

        def __len__(self) -> int:
            return 2

        def name(self, index: int) -> str:
            return f"square {index}"

        def frames(self, index: int) -> int:
            return 5

        def box(self, index: int, number: int) -> np.ndarray:
            return np.array([50.0 + 5 * number, 60, 90 + 5 * number, 90])

        def frame(self, index: int, number: int) -> np.ndarray:
            frame = np.zeros((160, 200, 3), np.uint8)
            x1, y1, x2, y2 = self.box(index, number).astype(int)
            frame[y1:y2, x1:x2] = 255
            return frame

    recipe = RECIPE.replace(search_jitter=(20.0, 0.18), exemplar_jitter=(4.0, 0.05), flip=0.5, negative_pairs=0.4)
    seen = []
    for batch in train_pairs(Square(), recipe, (63, 127), epoch=1):  # pyright: ignore[reportArgumentType]
        for image, box in zip(batch.inputs, batch.targets.boxes, strict=True):
            rows, columns = (image[0] > 127).nonzero().unbind(1)
            found = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (found - box).abs().max() < 1.5
            seen.append((box[:2] + box[2:]) / 2 - 63.5)
    assert torch.stack(seen).abs().max() > 5
    again = [batch.inputs for batch in train_pairs(Square(), recipe, (63, 127), epoch=1, skip=1)]  # pyright: ignore
    whole = [batch.inputs for batch in train_pairs(Square(), recipe, (63, 127), epoch=1)]  # pyright: ignore
    assert torch.equal(again[0], whole[1])


def test_summary_counts_frames_without_the_object(tmp_path: Path) -> None:
    write_series(tmp_path / "a", ["1,2,10,20", "NaN,NaN,NaN,NaN", "5,2,10,20", "11,2,10,20"])
    summary = summarize_sequences(find_sequences(tmp_path)["all"]())
    assert (summary.sequences, summary.frames, summary.frames_without) == (1, 4, 1)
    assert summary.steps[-1] == pytest.approx(6 / 200**0.5)
    assert dict(summary.rows())["sequences"] == "1"
    assert summary.to_dict()["image_sizes"] == [{"height": 40, "width": 60, "sequences": 1}]


def test_the_real_sequences(shared: Path) -> None:
    toy = open_source(shared / "data/tracking_toy_bobot", kind="sequences")
    assert (len(toy), toy.frames(0)) == (1, 151)
    assert toy.box(0, 0).tolist() == [76, 70, 110, 152]
    cars = open_source(shared / "data/mot_cars", kind="sequences")
    assert len(cars) == 4
    assert sum(np.isfinite(boxes_of(cars, i)).all(1).sum() for i in range(4)) == 178
