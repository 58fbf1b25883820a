"""Vectors of words in files: word2vec's binary and text forms, and GloVe's text, which lacks the first line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from baimu.errors import CheckpointError

_LONGEST = 4096  # bytes of a word


class WordVectors(NamedTuple):
    """Those of the words asked for that a file has."""

    words: tuple[str, ...]  # in the order in which they were asked for
    vectors: Float[Tensor, "n d"]


def read_word_vectors(path: str | Path, words: Sequence[str]) -> WordVectors:
    """The vectors of ``words``; of a word that the file has only with capitals, that one. The file is read once, line
    by line, and what is not asked for takes no memory.

    ``.bin`` is word2vec's binary form, all else text: a word and its numbers a line. Raises
    :class:`~baimu.errors.CheckpointError` for a file that is absent, of another form or without any of the words.
    """
    path, wanted = Path(path).expanduser(), {word: place for place, word in enumerate(words)}
    try:
        with path.open("rb") as file:
            read = _binary if path.suffix.lower() == ".bin" else _text
            exact, folded = read(path, file, wanted)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
    found = {**folded, **exact}
    if not found:
        raise CheckpointError(f"{path}: has a vector for none of the {len(words):,} words; is it of this language?")
    places = sorted(found)
    return WordVectors(
        tuple(words[place] for place in places), torch.from_numpy(np.stack([found[place] for place in places]))
    )


Rows = tuple[dict[int, np.ndarray], dict[int, np.ndarray]]
"""Vectors of words as they are asked for, and of those that the file writes with capitals."""


def _keep(rows: Rows, wanted: dict[str, int], word: str, vector: np.ndarray) -> None:
    exact, folded = rows
    if word in wanted:
        exact[wanted[word]] = vector
    elif (small := word.lower()) in wanted:
        folded.setdefault(wanted[small], vector)


def _binary(path: Path, file: BinaryIO, wanted: dict[str, int]) -> Rows:
    """``COUNT DIM\\n``, then a word, a blank and DIM little-endian float32, perhaps a line break."""
    try:
        count, dim = map(int, file.readline(_LONGEST).split())
    except ValueError:
        raise CheckpointError(f"{path}: begins with no count and length; a text file must not end in .bin") from None
    rows: Rows = ({}, {})
    folded = {word.lower() for word in wanted}
    for number in range(count):
        word = bytearray()
        while (letter := file.read(1)) not in (b" ", b"") and len(word) < _LONGEST:
            word += letter
        data = file.read(4 * dim)
        if len(data) < 4 * dim:
            raise CheckpointError(f"{path}: ends within word {number + 1} of {count}; copy it again")
        text = word.decode("utf-8", "replace").lstrip("\n")
        if text.lower() in folded:
            _keep(rows, wanted, text, np.frombuffer(data, "<f4").copy())
    return rows


def _text(path: Path, file: BinaryIO, wanted: dict[str, int]) -> Rows:
    rows: Rows = ({}, {})
    dim = 0
    for number, line in enumerate(file, start=1):
        cells = line.decode("utf-8", "replace").rstrip().split(" ")
        if number == 1 and len(cells) == 2 and all(cell.isdigit() for cell in cells):
            continue
        dim = dim or len(cells) - 1
        word = " ".join(cells[:-dim]) if dim else ""  # some of GloVe's words have blanks
        if not dim or not word:
            raise CheckpointError(
                f"{path}, line {number}: is no word and numbers; give word2vec's or GloVe's text form"
            )
        if word in wanted or word.lower() in wanted:
            try:
                vector = np.array(cells[-dim:], np.float32)
            except ValueError:
                raise CheckpointError(f"{path}, line {number}: {word!r} is not followed by {dim} numbers") from None
            _keep(rows, wanted, word, vector)
    return rows
