"""Sequences of MOTChallenge: frames, ``seqinfo.ini``, and identities from frame to frame."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from baimu.datasets.doctor.report import Finding
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.mot import MotSequence, TrackRows, is_sequence, open_sequence, read_mot
from baimu.datasets.formats.sequences import SPLITS, marked
from baimu.datasets.images import image_size
from baimu.errors import DataError, ImageError

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

JUMP = 3  # times its own size that a thing moves from one frame to the next without a doubt


def check(opened: Opened) -> Iterator[Finding]:
    """T102, T104 to T109, T111, T113; the lines themselves are the reader's."""
    if opened.format != "mot":
        return
    for split, folder in sequence_folders(opened.root):
        try:
            sequence = open_sequence(folder)
            log = ProblemLog()
            truth = folder / "gt" / "gt.txt"
            rows = read_mot(truth, log) if truth.is_file() else TrackRows.empty()
        except DataError:
            continue  # reading has reported it
        yield from _frames(split, sequence)
        yield from _rows(split, sequence, rows)


def sequence_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Split and folder of every sequence below ``root``."""

    def mark(folder: Path) -> Path | None:
        return folder if is_sequence(folder) else None

    parts = {split: root / n for split, names in SPLITS.items() for n in names if marked(root / n, mark)}
    for split, folder in (parts or {"all": root}).items():
        yield from ((split, one) for one in marked(folder, mark))


def _frames(split: str, sequence: MotSequence) -> Iterator[Finding]:
    numbers = [int(found[-1]) if (found := re.findall(r"\d+", frame.stem)) else -1 for frame in sequence.frames]
    for before, after, frame in zip(numbers, numbers[1:], sequence.frames[1:], strict=False):
        if after - before > 1 and before >= 0:
            text = f"follows frame {before}: {after - before - 1} frames are missing"
            yield Finding("T107", str(frame), "", text, "boxes lie on wrong frames", split, str(frame))
    for frame in sequence.frames:
        try:
            height, width = image_size(frame)
        except ImageError:
            continue
        if (height, width) != sequence.size:
            text = f"is {width}x{height}, the first frame {sequence.size[1]}x{sequence.size[0]}"
            yield Finding("T108", str(frame), "", text, "training stops at this frame", split, str(frame))
    about = configparser.ConfigParser()
    info = sequence.folder / "seqinfo.ini"
    about.read(info, encoding="utf-8")
    told = about["Sequence"] if about.has_section("Sequence") else {}
    for code, key, is_ in (
        ("T105", "seqLength", len(sequence.frames)),
        ("T106", "imWidth", sequence.size[1]),
        ("T106", "imHeight", sequence.size[0]),
    ):
        if key in told and told[key].strip() != str(is_):
            yield Finding(code, str(info), key, f"says {told[key]}, but it is {is_}", "not used", split)


def _rows(split: str, sequence: MotSequence, rows: TrackRows) -> Iterator[Finding]:
    file = str(sequence.folder / "gt" / "gt.txt")

    def finding(code: str, row: int, message: str, action: str) -> Finding:
        number = int(rows.frames[row])
        image = str(sequence.frames[number - 1]) if number <= len(sequence.frames) else ""
        return Finding(code, file, f"line {rows.lines[row]}", message, action, split, image, tuple(rows.boxes[row]))

    height, width = sequence.size
    faults = bad_rows(sequence, rows)
    for row, code in faults.items():
        text = {
            "T102": f"frame {rows.frames[row]}, but there are {len(sequence.frames)}",
            "T104": f"id {rows.ids[row]} stands in frame {rows.frames[row]} before",
            "T109": f"the box lies outside the {width}x{height} frame",
        }[code]
        yield finding(code, row, text, "used as it is" if code == "T109" else "not used")
    good = np.array([row for row in range(len(rows)) if row not in faults and rows.scores[row] != 0], np.int64)
    order = good[np.lexsort((rows.frames[good], rows.ids[good]))]
    for one, other in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        if rows.ids[one] != rows.ids[other] or rows.ids[one] < 0:
            continue
        if rows.classes[one] != rows.classes[other]:
            text = f"id {rows.ids[other]} is of class {rows.classes[other]}, before of {rows.classes[one]}"
            yield finding("T113", other, text, "used as it is")
        a, b = rows.boxes[one], rows.boxes[other]
        far = np.hypot(*(a[:2] + a[2:] - b[:2] - b[2:])) / 2
        size = max(np.hypot(*(a[2:] - a[:2])), np.hypot(*(b[2:] - b[:2])))
        if rows.frames[other] - rows.frames[one] == 1 and far > JUMP * size:
            text = f"id {rows.ids[other]} moves {far:.0f} pixels in a frame, {far / size:.1f} times its size"
            yield finding("T111", other, text, "used as it is")


def bad_rows(sequence: MotSequence, rows: TrackRows) -> dict[int, str]:
    """Rows that a clean file has not, and the rule that each breaks."""
    height, width = sequence.size
    found: dict[int, str] = {}
    seen: set[tuple[int, int]] = set()
    for row, (frame, number) in enumerate(zip(rows.frames.tolist(), rows.ids.tolist(), strict=True)):
        x1, y1, x2, y2 = rows.boxes[row].tolist()
        if frame > len(sequence.frames):
            found[row] = "T102"
        elif number >= 0 and (frame, number) in seen:
            found[row] = "T104"
        elif x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            found[row] = "T109"
        seen.add((frame, number))
    return found
