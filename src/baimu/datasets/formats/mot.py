"""MOTChallenge: tracks and detections as text, and sequences of frames with them.

A line is ``frame, id, left, top, width, height, score[, class, visibility]``; frames count from 1. In ``gt.txt`` the
score is 1 or, for what is not to be counted, 0; in ``det.txt`` and results the id may be −1 and what follows the score
means nothing. Numbers are taken as continuous pixel coordinates as they stand (the benchmark's own count from 1).

A sequence is a folder with ``seqinfo.ini``, its frames in ``img1`` and ``gt/gt.txt``, ``det/det.txt``.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from baimu.datasets.annotations import leaves_root
from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import find_images, image_size
from baimu.errors import DataError
from baimu.results import Detections, Tracks

COLUMNS = 7  # that a line must have


@dataclass(frozen=True, eq=False)
class TrackRows:
    """R boxes of a sequence, one array a field: of truths, of tracks or of detections."""

    frames: np.ndarray  # (R,) int64, from 1
    ids: np.ndarray  # (R,) int64; −1 where nobody knows
    boxes: np.ndarray  # (R, 4) float64, xyxy pixels
    scores: np.ndarray  # (R,) float64
    classes: np.ndarray  # (R,) int64, the file's own; −1 without
    visibility: np.ndarray  # (R,) float64 in 0…1; −1 without
    lines: np.ndarray  # (R,) int64 of the file, from 1; 0 for what stands in none

    @classmethod
    def empty(cls) -> TrackRows:
        return cls.of_table(np.zeros((0, 9)))

    @classmethod
    def of_table(cls, table: np.ndarray) -> TrackRows:
        """From the nine columns of a file (R, 9), or these and their lines (R, 10)."""
        if table.shape[1] < 10:
            table = np.column_stack([table, np.zeros(len(table))])
        whole = table[:, [0, 1, 7, 9]].astype(np.int64)
        boxes = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], 1)
        return cls(whole[:, 0], whole[:, 1], boxes, table[:, 6], whole[:, 2], table[:, 8], whole[:, 3])

    @classmethod
    def of_tracks(cls, found: Iterable[Tracks]) -> TrackRows:
        """The results of the frames 1, 2, …; labels are the classes."""
        rows = [
            np.column_stack(
                [
                    np.full(len(tracks), number),
                    tracks.ids,
                    tracks.boxes[:, :2],
                    tracks.boxes[:, 2:] - tracks.boxes[:, :2],
                    tracks.scores,
                    tracks.labels,
                    np.full(len(tracks), -1),
                ]
            )
            for number, tracks in enumerate(found, 1)
        ]
        return cls.of_table(np.concatenate([np.zeros((0, 9)), *rows]))

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, rows: np.ndarray) -> TrackRows:
        """Those of an index or a bool mask."""
        return TrackRows(*(getattr(self, f.name)[rows] for f in fields(self)))

    def detections(self, frame: int, size: tuple[int, int], source: str = "") -> Detections:
        """What there is in a frame, best score first, of the one class ``object``; ``size`` is its height and width."""
        here = self.take(self.frames == frame)
        order = np.argsort(-here.scores, kind="stable")
        boxes, scores = here.boxes[order].astype(np.float32), here.scores[order].astype(np.float32)
        return Detections(boxes, scores, np.zeros(len(here), np.int64), ("object",), size, source)


def read_mot(file: str | Path, log: ProblemLog | None = None) -> TrackRows:
    """All lines of a file, in its order. One that cannot be used raises :class:`~baimu.errors.DataError`; with a
    ``log``, it alone is left out and stands there."""
    file = Path(file)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file}: cannot be read ({reason}); give a MOTChallenge text file", "F101") from None
    table = np.full((len(lines), 10), -1.0)
    used = np.zeros(len(lines), bool)
    for number, line in enumerate(lines):
        cells = line.replace(",", " ").split()
        if not cells:
            continue
        try:
            values = [float(cell) for cell in cells[:9]]
        except ValueError:
            values = []
        code, what = _fault(values)
        if not code:
            table[number, : len(values)], table[number, 9] = values, number + 1
            used[number] = True
        elif log is None:
            raise DataError(f"{file}, line {number + 1}: {line!r} {what}", code)
        else:
            log.add(str(file), f"line {number + 1}", f"{line.strip()[:60]!r} {what}", "line left out", code=code)
    return TrackRows.of_table(table[used])


def _fault(values: list[float]) -> tuple[str, str]:
    """The rule that a line breaks, and how; two empty texts where it is right."""
    if len(values) < COLUMNS or not np.isfinite(values).all():
        return "T101", "is not frame,id,left,top,width,height,score,…"
    if values[0] < 1 or values[0] != int(values[0]) or values[1] != int(values[1]):
        return "T102", "has a frame or an id that is no whole number: frames count from 1"
    if min(values[4:6]) <= 0:
        return "T103", "has a box without a width and a height above 0"
    return "", ""


def write_mot(file: str | Path, found: Iterable[Tracks]) -> Path:
    """The results of the frames 1, 2, … as MOTChallenge's text."""
    path = Path(file)
    lines = [line for number, tracks in enumerate(found, 1) for line in tracks.to_mot(number)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@dataclass(frozen=True)
class MotSequence:
    """One sequence: where its frames lie, in order, and what is known of it."""

    folder: Path
    name: str
    frames: tuple[Path, ...]
    size: tuple[int, int]  # height, width
    fps: float | None

    @property
    def truth(self) -> TrackRows:
        return read_mot(self.folder / "gt" / "gt.txt")

    @property
    def detections(self) -> TrackRows:
        return read_mot(self.folder / "det" / "det.txt")


def is_sequence(folder: Path) -> bool:
    """Whether a folder is a sequence: frames in ``img1``, and ``seqinfo.ini`` or a truth."""
    return (folder / "img1").is_dir() and ((folder / "seqinfo.ini").is_file() or (folder / "gt" / "gt.txt").is_file())


def open_sequence(folder: str | Path) -> MotSequence:
    """The sequence of a folder. Raises :class:`~baimu.errors.DataError` where it has no frames, and for a
    ``seqinfo.ini`` that cannot be read or whose frames would lie outside the folder."""
    folder = Path(folder)
    file, about = folder / "seqinfo.ini", configparser.ConfigParser(interpolation=None)
    try:
        about.read(file, encoding="utf-8")
        told = about["Sequence"] if about.has_section("Sequence") else {}
        rate = float(told.get("frameRate") or "nan")
    except (configparser.Error, ValueError) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{file}: cannot be read ({said}); write [Sequence] and name=value lines", "F102") from None
    where = told.get("imDir", "img1")
    if leaves_root(where):
        raise DataError(f"{file}: imDir={where!r} leaves the folder of the sequence; name a folder in it", "F106")
    frames = find_images(folder / where)
    if not frames:
        raise DataError(f"{folder}: has no frames in {where}; unpack them there", "F103")
    size = image_size(frames[0])
    return MotSequence(folder, told.get("name", folder.name), tuple(frames), size, rate if rate > 0 else None)
