"""Word vectors from the three forms of file, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from baimu.errors import CheckpointError
from baimu.weights.word_vectors import read_word_vectors

ROWS = {"Call": (1.0, 2.0), "free": (3.0, 4.0), "at home": (5.0, 6.0), "call": (7.0, 8.0), "London": (9.0, 1.0)}


def binary(path: Path) -> Path:
    data = f"{len(ROWS)} 2\n".encode()
    for word, row in ROWS.items():
        data += word.replace(" ", "_").encode() + b" " + struct.pack("<2f", *row) + b"\n"
    path.write_bytes(data)
    return path


def text(path: Path, first: str = "") -> Path:
    lines = [f"{word} {a} {b}" for word, (a, b) in ROWS.items() if first == "" or " " not in word]
    path.write_text(first + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("make", ["bin", "word2vec", "glove"])
def test_three_forms(tmp_path: Path, make: str) -> None:
    if make == "bin":
        path = binary(tmp_path / "v.bin")
    else:
        path = text(tmp_path / "v.txt", "5 2\n" if make == "word2vec" else "")
    found = read_word_vectors(path, ["free", "gone", "call", "london"])
    assert found.words == ("free", "call", "london")
    assert found.vectors.tolist() == [[3, 4], [7, 8], [9, 1]]  # call itself, not Call; London for want of london


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_word_vectors(tmp_path / "gone.txt", ["a"])
    (tmp_path / "v.bin").write_bytes(b"hello world, no numbers\n")
    with pytest.raises(CheckpointError, match="no count and length"):
        read_word_vectors(tmp_path / "v.bin", ["a"])
    short = binary(tmp_path / "w.bin")
    short.write_bytes(short.read_bytes()[:-6])
    with pytest.raises(CheckpointError, match=r"ends within word 5 of 5"):
        read_word_vectors(short, ["free"])
    (tmp_path / "v.txt").write_text("free 1 2\ncall x y\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"line 2: 'call' is not followed by 2 numbers"):
        read_word_vectors(tmp_path / "v.txt", ["call"])
    with pytest.raises(CheckpointError, match="none of the 1 words"):
        read_word_vectors(text(tmp_path / "w.txt"), ["unheard"])
