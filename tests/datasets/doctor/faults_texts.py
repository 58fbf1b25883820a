"""Faults of texts with labels and of lines of text."""

from __future__ import annotations

from pathlib import Path

from tests.datasets.doctor.planting import Expected, edit_lines, fault
from tests.datasets.doctor.sets import put, sentences


def add(root: Path, file: str, line: str) -> str:
    edit_lines(root / file, lambda lines: lines.append(line))
    return f"line {len((root / file).read_text(encoding='utf-8').splitlines())}"


@fault("tsv")
def no_text(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.tsv", lambda lines: lines.__setitem__(slot, "good\t "))
    return [("X101", "train.tsv", f"line {slot + 1}")]


@fault("tsv")
def no_label(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.tsv", lambda lines: lines.__setitem__(slot, "\ta text of nothing"))
    return [("X102", "train.tsv", f"line {slot + 1}")]


@fault("tsv")
def no_tab(root: Path, slot: int) -> list[Expected]:
    return [("X103", "train.tsv", add(root, "train.tsv", f"good without any tab {slot}"))]


@fault("tsv", "text_csv")
def text_twice(root: Path, slot: int, base: str) -> list[Expected]:
    file, (label, text) = ("train.tsv" if base == "tsv" else "train.csv"), sentences("train", 20)[slot]
    return [("X104", file, add(root, file, f"{label}\t{text}" if base == "tsv" else f'{label},"{text}"'))]


@fault("tsv", "text_csv")
def two_labels(root: Path, slot: int, base: str) -> list[Expected]:
    file, (label, text) = ("train.tsv" if base == "tsv" else "train.csv"), sentences("train", 20)[slot]
    other = "bad" if label == "good" else "good"
    return [("X105", file, add(root, file, f"{other}\t{text}" if base == "tsv" else f'{other},"{text}"'))]


@fault("tsv")
def text_in_val(root: Path, slot: int) -> list[Expected]:
    label, text = sentences("train", 20)[slot]
    add(root, "val.tsv", f"{label}\t{text}")
    return [("X106", "train.tsv", f"line {slot + 1}")]


@fault("tsv")
def spoiled(root: Path, slot: int) -> list[Expected]:
    return [("X107", "train.tsv", add(root, "train.tsv", f"good\tna\ufffdve people wrote this {slot}"))]


@fault("text_csv")
def row_without_text(root: Path, slot: int) -> list[Expected]:
    return [("X101", "train.csv", add(root, "train.csv", "good,"))]


@fault("text_csv")
def row_short(root: Path, slot: int) -> list[Expected]:
    return [("X103", "train.csv", add(root, "train.csv", "good"))]


@fault("tsv", alone=True)
def label_foreign(root: Path, slot: int) -> list[Expected]:
    add(root, "val.tsv", "ugly\tsomething that is neither good nor bad")
    return [("C110", "", "class ugly")]


@fault("tsv", alone=True)
def labels_alike(root: Path, slot: int) -> list[Expected]:
    for split in ("train", "val"):
        add(root, f"{split}.tsv", f"Good\tsomething written otherwise in {split}")
    return [("C108", "", "class good")]


@fault("text_folders")
def file_empty(root: Path, slot: int) -> list[Expected]:
    put(root / "train" / "good" / f"empty{slot}.txt", "\n")
    return [("X101", f"train/good/empty{slot}.txt", "")]


@fault("text_folders")
def file_twice(root: Path, slot: int) -> list[Expected]:
    label, text = sentences("train", 20)[slot]
    put(root / "train" / label / f"zz{slot}.txt", text)
    return [("X104", f"train/{label}/zz{slot}.txt", "")]


@fault("text_folders")
def file_in_val(root: Path, slot: int) -> list[Expected]:
    label, text = sentences("train", 20)[slot]
    put(root / "val" / label / f"zz{slot}.txt", text)
    return [("X106", f"train/{label}/{slot:03d}.txt", "")]


@fault("lines")
def line_without_text(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.__setitem__(slot, f"images/train/{slot}.png\t"))
    return [("X101", "train.txt", f"line {slot + 1}")]


@fault("lines")
def line_without_path(root: Path, slot: int) -> list[Expected]:
    return [("X103", "train.txt", add(root, "train.txt", f"Word {slot} alone"))]


@fault("lines")
def line_spoiled(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.__setitem__(slot, f"images/train/{slot}.png\tW\ufffdrd {slot}"))
    return [("X107", f"images/train/{slot}.png", f"train.txt, line {slot + 1}")]


@fault("lines")
def line_unreadable(root: Path, slot: int) -> list[Expected]:
    edit_lines(root / "train.txt", lambda lines: lines.__setitem__(slot, f"images/train/{slot}.png\t###"))
    return [("X108", "train.txt", f"line {slot + 1}")]


@fault("lines", alone=True)
def line_of_strange_letters(root: Path, slot: int) -> list[Expected]:
    put(root / "characters.txt", "Word 0123456789")
    edit_lines(root / "train.txt", lambda lines: lines.__setitem__(slot, f"images/train/{slot}.png\tWürd {slot}"))
    return [("X109", "train.txt", f"line {slot + 1}")]


@fault("lines")
def line_of_absent(root: Path, slot: int) -> list[Expected]:
    add(root, "train.txt", f"images/train/gone{slot}.png\tWord {slot}")
    return [("I101", f"images/train/gone{slot}.png", "")]


@fault("line_files")
def image_without_text(root: Path, slot: int) -> list[Expected]:
    (root / f"{slot}.gt.txt").unlink()
    return [("F108", f"{slot}.png", "")]


@fault("line_files")
def text_empty(root: Path, slot: int) -> list[Expected]:
    put(root / f"{slot}.gt.txt", " \n")
    return [("X101", f"{slot}.gt.txt", "")]
