"""A long list of images as numbered shards whose results are files: each is there, whole, or it is not.

The folder of a job holds ``list.jsonl`` (every image, in order), ``job.json`` (what the results depend on) and a file
``00000012.jsonl`` for each shard that is done. All are written under another name first. A job that was interrupted
goes on with the shards that are missing; one that would give other results is refused. Nothing here grows with the
number of images but files.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from baimu.errors import DataError
from baimu.inference.saving import Names, folder_of, map_name, picture_name
from baimu.inference.sources import image_names

LARGEST, SMALLEST_COUNT = 256, 64
"""Most images of a shard, and how many shards there are at least before they are as large."""

LOOSER = "on_error"
"""The one setting that may change on the way, from ``stop`` to ``record``: what is done holds no errors."""


class Entry(NamedTuple):
    """One image of the list."""

    source: int  # which of the sources it is of; batches do not reach from one into the next
    name: str  # path or URL, as the local engine names it
    picture: str  # the file of its picture, below the folder of all
    label_map: str  # likewise


class Answer(NamedTuple):
    """What a shard says of one image; ``columns`` is empty where it could not be read."""

    record: dict[str, Any]
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Job:
    """A list that is cut, in ``folder``."""

    folder: Path
    images: int
    size: int  # images of a shard, at least; the last may have less
    batch_size: int

    def shards(self) -> Iterator[tuple[int, list[Entry]]]:
        """Every shard with its number, in order. Batches of a shard are those that the whole source would have."""
        return enumerate(cut(_entries(self.folder), self.size, self.batch_size))

    def done(self) -> set[int]:
        """The numbers of the shards whose results are there."""
        return {int(file.stem) for file in self.folder.glob("*.jsonl") if file.stem.isdecimal()}

    def file(self, number: int) -> Path:
        """The results of a shard, once they are there."""
        return self.folder / f"{number:08}.jsonl"

    def write(self, number: int, answers: Iterable[Answer]) -> None:
        """The results of a shard; whoever writes it again writes the same."""
        write_whole(self.file(number), (json.dumps(answer) for answer in answers))

    def answers(self) -> Iterator[Answer]:
        """Those of all shards, in the order of the list. Raises :class:`~baimu.errors.DataError` where one is missing
        or is of another image."""
        for number, entries in self.shards():
            file = self.file(number)
            for entry, line in zip_longest(entries, _lines(file)):
                answer = None if line is None else Answer(*json.loads(line))
                if entry is None or answer is None or answer.record["source"] != entry.name:
                    raise DataError(f"{file}: does not hold the results of its images; remove it and start again")
                yield answer

    def remove(self) -> None:
        """The folder and all in it; first what says that its results count."""
        (self.folder / "job.json").unlink()
        shutil.rmtree(self.folder)


def begin(folder: Path, sources: Sequence[str], settings: Mapping[str, Any], *, batch_size: int, size: int) -> Job:
    """The job of this folder: a new one, or the one that was begun here with the same settings and images.

    ``size``: images of a shard; 0 lets their number decide. Raises :class:`~baimu.errors.DataError` where settings or
    images differ from those that it was begun with, or a source is missing or empty.
    """
    document = folder / "job.json"
    if document.exists():
        begun = json.loads(document.read_text(encoding="utf-8"))
        _refuse_other_settings(folder, begun["settings"], settings)
        _refuse_other_images(folder, sources)
        if begun["settings"] != settings:
            write_whole(document, [json.dumps({**begun, "settings": settings}, indent=1)])
        return Job(folder, begun["images"], begun["size"], batch_size)
    for source in sources:  # what is missing or empty is said before anything is written
        next(image_names(source))
    shutil.rmtree(folder, ignore_errors=True)  # shards without a document count for nothing
    folder.mkdir(parents=True)
    write_whole(folder / "list.jsonl", (json.dumps(entry) for entry in _listed(sources)))
    images = sum(1 for _ in _entries(folder))
    size = -(-(size or min(LARGEST, -(-images // SMALLEST_COUNT))) // batch_size) * batch_size
    write_whole(document, [json.dumps({"settings": settings, "images": images, "size": size}, indent=1)])
    return Job(folder, images, size, batch_size)


def cut(entries: Iterable[Entry], size: int, batch_size: int) -> Iterator[list[Entry]]:
    """Runs of at least ``size`` entries that end where a batch of their source ends."""
    shard: list[Entry] = []
    inside, source = 0, None
    for entry in entries:
        if entry.source != source:
            inside, source = 0, entry.source
        if len(shard) >= size and inside % batch_size == 0:
            yield shard
            shard = []
        shard.append(entry)
        inside += 1
    if shard:
        yield shard


def write_whole(path: Path, lines: Iterable[str]) -> None:
    """A text file that is there with all its lines on the disk, or not at all."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from None


class NumbersOnDisk:
    """The numbers of :class:`~baimu.inference.saving.Names` in a file of the system's own, for millions of names."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)  # deleted when it is closed, however that happens
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE numbers (name TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def get(self, name: str, /) -> int | None:
        found = self._table.execute("SELECT number FROM numbers WHERE name = ?", (name,)).fetchone()
        return found and found[0]

    def __setitem__(self, name: str, number: int, /) -> None:
        self._table.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, number))


def _listed(sources: Sequence[str]) -> Iterator[Entry]:
    pictures, maps = Names(NumbersOnDisk()), Names(NumbersOnDisk())
    for i, source in enumerate(sources):
        folder = folder_of(source)
        for name in image_names(source):
            yield Entry(i, name, pictures.free(picture_name(name, folder)), maps.free(map_name(name)))


def _entries(folder: Path) -> Iterator[Entry]:
    return (Entry(*json.loads(line)) for line in _lines(folder / "list.jsonl"))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); start again") from None


def _refuse_other_settings(folder: Path, begun: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    other = [name for name in {**begun, **settings} if begun.get(name) != settings.get(name)]
    if other == [LOOSER] and settings[LOOSER] == "record":
        return
    if other:
        told = ", ".join(f"{name} was {_short(begun.get(name))} and is {_short(settings.get(name))}" for name in other)
        raise DataError(f"{folder}: holds the beginning of another job ({told}); {_mend(folder)}")


def _refuse_other_images(folder: Path, sources: Sequence[str]) -> None:
    now = ((i, name) for i, source in enumerate(sources) for name in image_names(source))
    for number, (entry, new) in enumerate(zip_longest(_entries(folder), now), start=1):
        if entry is None or (entry.source, entry.name) != new:
            was, is_now = entry and entry.name, new and new[1]
            raise DataError(
                f"{folder}: the images are others than when this job was begun (image {number} was "
                f"{was or 'none'} and is {is_now or 'none'}); restore them, or {_mend(folder)}"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _mend(folder: Path) -> str:
    return f"give it the same again to go on, choose another --out, or remove {folder} to begin anew"
