"""Writing MOTChallenge sequences, and their frames as a detection data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from baimu.datasets.annotations import FileSource, assemble
from baimu.datasets.columns import Columns
from baimu.datasets.doctor.tracks import bad_rows, sequence_folders
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.mot import MotSequence, TrackRows, open_sequence, read_mot
from baimu.datasets.writing.places import Losses, write_lines


def read_all(root: Path) -> dict[str, list[tuple[MotSequence, TrackRows]]]:
    """Every sequence below a folder by its split, with the rows that can be used."""
    found: dict[str, list[tuple[MotSequence, TrackRows]]] = {}
    for split, folder in sequence_folders(root):
        truth = folder / "gt" / "gt.txt"
        if truth.is_file():
            sequence, rows = open_sequence(folder), read_mot(truth, ProblemLog())
            bad = bad_rows(sequence, rows)
            rows = rows.take(np.array([row for row in range(len(rows)) if row not in bad], np.int64))
            lone = [number for number in np.unique(rows.ids) if ((rows.ids == number) & (rows.scores != 0)).sum() == 1]
            found.setdefault(split, []).append((sequence, rows.take(~np.isin(rows.ids, lone))))
    return found


def write_mot(root: Path, out: Path) -> Losses:
    """The sequences below ``root`` again, their lines by frame and id, and ``seqinfo.ini`` as the frames are."""
    for split, sequences in read_all(root).items():
        for sequence, rows in sequences:
            if not (rows.scores != 0).any():
                continue
            folder = out / ("" if split == "all" else split) / sequence.folder.resolve().name
            (folder / "img1").mkdir(parents=True, exist_ok=True)
            for frame in sequence.frames:
                shutil.copyfile(frame, folder / "img1" / frame.name)
            write_lines(folder / "gt" / "gt.txt", _lines(rows))
            write_lines(folder / "seqinfo.ini", _about(sequence))
    return Losses()


def _lines(rows: TrackRows) -> Iterable[str]:
    for row in np.lexsort((rows.ids, rows.frames)).tolist():
        left, top, right, bottom = rows.boxes[row].tolist()
        numbers = [left, top, right - left, bottom - top, float(rows.scores[row])]
        cells = [str(rows.frames[row]), str(rows.ids[row]), *(f"{value:.15g}" for value in numbers)]
        if rows.classes[row] >= 0 or rows.visibility[row] >= 0:
            cells += [str(rows.classes[row]), f"{float(rows.visibility[row]):.15g}"]
        yield ",".join(cells)


def _about(sequence: MotSequence) -> list[str]:
    height, width = sequence.size
    rate = [] if sequence.fps is None else [f"frameRate={sequence.fps:g}"]
    return [
        "[Sequence]",
        f"name={sequence.name}",
        "imDir=img1",
        *rate,
        f"seqLength={len(sequence.frames)}",
        f"imWidth={width}",
        f"imHeight={height}",
        f"imExt={sequence.frames[0].suffix}",
    ]


def frames(root: Path) -> tuple[dict[str, FileSource], Losses]:
    """The frames as images with objects. A class is the file's number, ``object`` where it has none; what is not to be
    counted becomes a crowd."""
    losses, found = Losses(), {}
    sequences = read_all(root)
    numbers = sorted({int(c) for own in sequences.values() for _, rows in own for c in rows.classes})
    names = ["object" if number < 0 else f"class {number}" for number in numbers]
    for split, own in sequences.items():
        files = [os.path.relpath(frame, root) for sequence, _ in own for frame in sequence.frames]
        sizes = np.array([sequence.size for sequence, _ in own for _ in sequence.frames], np.int64).reshape(-1, 2)
        starts = np.cumsum([0, *(len(sequence.frames) for sequence, _ in own)])
        boxes = np.concatenate([rows.boxes for _, rows in own])
        images = np.concatenate([rows.frames - 1 + start for (_, rows), start in zip(own, starts, strict=False)])
        classes = np.concatenate([rows.classes for _, rows in own])
        losses.add("tracks: their ids are lost", sum(len(np.unique(rows.ids)) for _, rows in own))
        columns = Columns(
            boxes=boxes,
            labels=np.searchsorted(numbers, classes),
            crowd=np.concatenate([rows.scores == 0 for _, rows in own]),
            areas=np.full(len(boxes), np.nan),
            ids=np.arange(1, len(boxes) + 1),
        )
        found[split] = assemble(
            root=root,
            classes=names or ["object"],
            category_ids=range(max(1, len(names))),
            files=files,
            image_ids=list(range(1, len(files) + 1)),
            sizes=sizes,
            images=images,
            columns=columns,
            record=lambda t: (str(root), f"box {t}"),
            log=ProblemLog(),
        )
    return found, losses
