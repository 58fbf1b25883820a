"""Faults of sequences: MOTChallenge, and one object a series."""

from __future__ import annotations

from pathlib import Path

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import mot_row, picture, put

TRUTH = "seq0/gt/gt.txt"


def add(root: Path, row: str, code: str) -> list[Expected]:
    edit_lines(root / TRUTH, lambda lines: lines.append(row))
    return [(code, TRUTH, f"line {len((root / TRUTH).read_text().splitlines())}")]


for name, code, row in (
    ("short", "T101", "3,1,5,5"),
    ("words", "T101", "three,1,5,5,9,9,1,1,1"),
    ("not_finite", "T101", "3,9,nan,5,9,9,1,1,1"),
    ("frame_zero", "T102", "0,9,5,5,9,9,1,1,1"),
    ("frame_half", "T102", "2.5,9,5,5,9,9,1,1,1"),
    ("frame_beyond", "T102", "11,2,29,20,9,14,1,1,1"),
    ("flat", "T103", "3,9,5,5,0,9,1,1,1"),
    ("negative", "T103", "3,9,5,5,-9,9,1,1,1"),
):

    def plant(root: Path, slot: int, code: str = code, row: str = row) -> list[Expected]:
        return add(root, row, code)

    plant.__name__ = f"row_{name}"
    fault("mot")(plant)


@fault("mot")
def id_twice(root: Path, slot: int) -> list[Expected]:
    return add(root, mot_row(slot + 1, 2, (1, 1, 9, 9)), "T104")


@fault("mot", alone=True)
def length_wrong(root: Path, slot: int) -> list[Expected]:
    file = root / "seq0" / "seqinfo.ini"
    file.write_text(file.read_text().replace("seqLength=10", "seqLength=12"))
    return [("T105", "seq0/seqinfo.ini", "seqLength")]


@fault("mot", alone=True)
def size_wrong(root: Path, slot: int) -> list[Expected]:
    file = root / "seq0" / "seqinfo.ini"
    file.write_text(file.read_text().replace("imWidth=60", "imWidth=1920"))
    return [("T106", "seq0/seqinfo.ini", "imWidth")]


@fault("mot", alone=True)
def frame_missing(root: Path, slot: int) -> list[Expected]:
    (root / "seq0" / "img1" / "000005.jpg").unlink()
    beyond = [("T102", TRUTH, f"line {line}") for line in (19, 20)]
    return [("T107", "seq0/img1/000006.jpg", ""), ("T105", "seq0/seqinfo.ini", "seqLength"), *beyond]


@fault("mot")
def frame_of_other_size(root: Path, slot: int) -> list[Expected]:
    file = f"seq0/img1/{slot + 2:06d}.jpg"
    put(root / file, picture(300 + slot, (20, 30)))
    return [("T108", file, "")]


@fault("mot")
def frame_broken(root: Path, slot: int) -> list[Expected]:
    file = f"seq0/img1/{slot + 2:06d}.jpg"
    put(root / file, b"no image")
    return [("T116", file, "")]


@fault("mot")
def box_outside(root: Path, slot: int) -> list[Expected]:
    row = 2 * slot + 1
    edit_lines(root / TRUTH, lambda lines: lines.__setitem__(row, mot_row(slot + 1, 2, (200, 200, 9, 14))))
    return [("T109", TRUTH, f"line {row + 1}")]


@fault("mot", alone=True)
def one_box(root: Path, slot: int) -> list[Expected]:
    add(root, mot_row(4, 7, (1, 1, 9, 9)), "")
    return [("T110", "seq0#7", "")]


@fault("mot", alone=True)
def jump(root: Path, slot: int) -> list[Expected]:
    small = [mot_row(f, 5, (2 if f < 4 else 50, 2 if f < 4 else 30, 4, 4)) for f in range(2, 7)]
    edit_lines(root / TRUTH, lambda lines: lines.extend(small))
    return [("T111", TRUTH, "line 23")]


@fault("mot", alone=True)
def nothing_counts(root: Path, slot: int) -> list[Expected]:
    def set_scores(lines: list[str]) -> None:
        lines[:] = [line.rsplit(",", 3)[0] + ",0,1,1" for line in lines]

    edit_lines(root / TRUTH, set_scores)
    return [("T112", TRUTH, "")]


@fault("mot", alone=True)
def class_changes(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / TRUTH, lambda lines: lines.__setitem__(18, mot_row(10, 1, (12, 3, 10, 12), "1,3,1")))
    return [("T113", TRUTH, "line 19")]


@fault("mot", alone=True)
def no_truth(root: Path, slot: int) -> list[Expected]:
    (root / TRUTH).unlink()
    return [("F108", "seq0", "")]


@fault("sequences", alone=True)
def fewer_lines(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "seq0" / "groundtruth.txt", lambda lines: lines.pop())
    return [("T114", "seq0/groundtruth.txt", "")]


@fault("sequences", alone=True)
def fewer_marks(root: Path, slot: int) -> list[Expected]:
    put(root / "seq0" / "absence.label", "0\n0\n0\n")
    return [("T115", "seq0/absence.label", "")]


@fault("sequences", alone=True)
def never_there(root: Path, slot: int) -> list[Expected]:
    put(root / "seq0" / "groundtruth.txt", "nan,nan,nan,nan\n" * 10)
    return [("T110", "seq0", "")]


@fault("sequences", alone=True, readable=False)
def line_malformed(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "seq0" / "groundtruth.txt", lambda lines: lines.__setitem__(slot, "1,2,3"))
    return [("T101", "seq0/groundtruth.txt", f"line {slot + 1}")]
