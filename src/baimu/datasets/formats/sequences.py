"""Frames with one object to follow, as OTB, GOT-10k, VOT and LaSOT have them, and the tracks of MOTChallenge.

A series is a folder with ``groundtruth_rect.txt`` or ``groundtruth.txt``, one line a frame: ``left, top, width,
height``, parted by commas, tabs or blanks, or the corners ``x1, y1, …, x4, y4`` of a polygon, whose bounds are taken;
NaN, or a side of 0, where the object is not there. Frames lie in ``img``, ``frames``, ``color``, ``imgs`` or beside the
file. ``absence.label`` (GOT-10k) and ``full_occlusion.txt``, ``out_of_view.txt`` (LaSOT) mark frames without it.
Numbers are continuous pixel coordinates as they stand (OTB's and GOT-10k's count from 1: half a pixel off at most in
what matters, as training and scoring take both alike).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.mot import is_sequence, open_sequence, read_mot
from baimu.datasets.images import SUFFIXES
from baimu.datasets.sequences import FrameSequences, gather
from baimu.errors import DataError

TRUTHS = ("groundtruth_rect.txt", "groundtruth.txt")
FRAMES = ("img", "frames", "color", "imgs", ".")
ABSENT = ("absence.label", "full_occlusion.txt", "out_of_view.txt")
SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}

Found = dict[str, Callable[[], FrameSequences]]
Series = tuple[str, list[str], np.ndarray]


def find_sequences(path: Path) -> Found:
    """The splits of a folder of series, to be read when called; empty where there are none."""
    return _found(path, _truth_of, _annotated)


def find_tracks(path: Path) -> Found:
    """Each track of MOTChallenge sequences as a series of its own; empty where there are none."""
    return _found(path, lambda folder: folder if is_sequence(folder) else None, _tracks)


def _found(
    path: Path,
    mark: Callable[[Path], Path | None],
    read: Callable[[Path, Path, ProblemLog], list[Series]],
) -> Found:
    if not path.is_dir():
        return {}
    parts = {name: folder for name, names in SPLITS.items() for n in names if marked(folder := path / n, mark)}
    if parts:
        return {name: partial(_read, folder, mark, read) for name, folder in parts.items()}
    return {"all": partial(_read, path, mark, read)} if marked(path, mark) else {}


def marked(folder: Path, mark: Callable[[Path], Path | None]) -> list[Path]:
    """The folder itself if it is a series, else those in it that are."""
    if not folder.is_dir():
        return []
    if mark(folder):
        return [folder]
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and mark(entry))


def _read(
    root: Path, mark: Callable[[Path], Path | None], read: Callable[[Path, Path, ProblemLog], list[Series]]
) -> FrameSequences:
    log = ProblemLog()
    series = [one for folder in marked(root, mark) for one in read(root, folder, log)]
    return gather(root, series, log)


def _truth_of(folder: Path) -> Path | None:
    return next((folder / name for name in TRUTHS if (folder / name).is_file()), None)


def _annotated(root: Path, folder: Path, log: ProblemLog) -> list[Series]:
    """The one series of a folder; nothing where lines and frames do not agree."""
    truth = _truth_of(folder)
    assert truth is not None
    boxes = read_boxes(truth)
    files = next((found for name in FRAMES if (found := _images(folder / name))), [])
    if len(files) != len(boxes):
        text = f"has {len(boxes)} lines, but there are {len(files)} frames beside it"
        log.add(
            str(truth),
            "",
            text,
            "sequence left out" if not files or not len(boxes) else "the rest left out",
            code="T114",
        )
        if not files or not len(boxes):
            return []
        files, boxes = files[: len(boxes)], boxes[: len(files)]
    for name in ABSENT:
        if (folder / name).is_file():
            try:
                marks = np.array((folder / name).read_text(encoding="utf-8").replace(",", " ").split(), float)
            except ValueError:  # no numbers, or no text
                marks = np.zeros(0)
            if len(marks) < len(boxes):
                log.add(
                    str(folder / name), "", f"has {len(marks)} marks for {len(boxes)} frames", "not used", code="T115"
                )
            else:
                boxes[marks[: len(boxes)] > 0] = np.nan
    name = os.path.relpath(folder, root)
    return [(folder.name if name == "." else name, [os.path.relpath(file, root) for file in files], boxes)]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))


def read_boxes(file: Path) -> np.ndarray:
    """(L, 4) xyxy float64, NaN for a line without a box. Raises :class:`~baimu.errors.DataError` for any other text."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); give one line of numbers a frame", "F101") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return np.array([_box(file, i, line) for i, line in enumerate(lines, 1)], float).reshape(-1, 4)


def _box(file: Path, number: int, line: str) -> Sequence[float]:
    try:
        values = [float(cell) for cell in line.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) == 8:
        x, y = values[::2], values[1::2]
        return min(x), min(y), max(x), max(y)
    if len(values) != 4:
        raise DataError(f"{file}, line {number}: {line!r} is neither left,top,width,height nor four corners", "T101")
    left, top, width, height = values
    if not np.isfinite(values).all() or width <= 0 or height <= 0:
        return [np.nan] * 4
    return left, top, left + width, top + height


def _tracks(root: Path, folder: Path, log: ProblemLog) -> list[Series]:
    """One series for each identity that counts, from its first frame to its last."""
    sequence = open_sequence(folder)
    if not (folder / "gt" / "gt.txt").is_file():
        log.add(str(folder), "", "has no gt/gt.txt", "sequence left out", code="F108")
        return []
    rows = read_mot(folder / "gt" / "gt.txt", log)
    rows = rows.take((rows.scores != 0) & (rows.frames <= len(sequence.frames)))
    name = os.path.relpath(folder, root)
    series = []
    for number in np.unique(rows.ids):
        own = rows.take(rows.ids == number)
        first, last = int(own.frames.min()), int(own.frames.max())
        boxes = np.full((last - first + 1, 4), np.nan)
        boxes[own.frames - first] = own.boxes
        files = [os.path.relpath(file, root) for file in sequence.frames[first - 1 : last]]
        series.append((f"{sequence.name if name == '.' else name}#{number}", files, boxes))
    if not series:
        log.add(str(folder / "gt" / "gt.txt"), "", "no track that counts", "sequence left out", code="T112")
    return series
