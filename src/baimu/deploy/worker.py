"""One process of a cluster: it loads a model once and turns shards of images into results."""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from baimu.deploy.shards import Answer, Entry, Job
from baimu.deploy.shipment import Shipment
from baimu.errors import BaimuError, DataError
from baimu.inference.predictor import OnError, Predictor, load_model
from baimu.inference.saving import refuse_source, save_map, save_picture
from baimu.inference.sources import named_item
from baimu.results import Result, Unread


class Work(NamedTuple):
    """What a worker is told once."""

    job: Job
    here: str  # the folder that paths are relative to
    out: Path  # for pictures
    maps: Path | None  # for label maps
    on_error: OnError
    device: str | None
    threads: int  # of the network
    readers: int  # threads that read ahead; 0: none
    options: dict[str, Any]  # of the predictor


class Worker:
    """Made by Ray in a process of its own."""

    def begin(self, shipment: Shipment, work: Work, version: str) -> str:
        """Load the model; who this is: ``node:pid``."""
        import torch

        from baimu import __version__

        name = f"{socket.gethostname()}:{os.getpid()}"
        if __version__ != version:
            raise BaimuError(f"{name}: has baimu {__version__}, not {version}; install the same on every node")
        try:
            os.chdir(work.here)
            for folder in self._part_folders(work):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{name}: {error.filename}: {error.strerror}; every node needs the folders of images and results under "
                "the same path, as on a shared file system"
            ) from None
        torch.set_num_threads(work.threads)
        with tempfile.TemporaryDirectory() as folder:
            network = load_model(shipment.unpack(Path(folder)))
        self.work, self.mark = work, uuid.uuid4().hex
        self.predictor = Predictor(network, device=work.device, **work.options)
        return name

    def run(self, number: int, entries: list[Entry]) -> tuple[int, int]:
        """Write the results of a shard, pictures first: how many images it has, and how many could not be read."""
        unread = 0

        def answers() -> Iterator[Answer]:
            nonlocal unread
            for entry, found in self._results(entries):
                if isinstance(found, Unread):
                    unread += 1
                    yield Answer(found.to_dict(), [], [])
                else:
                    self._save(entry, found)
                    yield Answer(found.to_dict(), list(found.columns), [list(row) for row in found.to_rows()])

        self.work.job.write(number, answers())
        return len(entries), unread

    def _results(self, entries: list[Entry]) -> Iterator[tuple[Entry, Result]]:
        """Source by source, so that batches are those of the local engine."""
        for _, group in itertools.groupby(entries, key=lambda entry: entry.source):
            of_one = list(group)
            stream = self.predictor.stream(
                (named_item(entry.name) for entry in of_one),
                batch_size=self.work.job.batch_size,
                workers=self.work.readers,
                on_error=self.work.on_error,
            )
            yield from zip(of_one, stream, strict=True)

    def _save(self, entry: Entry, found: Result) -> None:
        """A worker that is killed leaves its unfinished file where the job's folder is, not among the pictures."""
        pictures, *maps = (folder / self.mark for folder in self._part_folders(self.work))
        picture = self.work.out / entry.picture
        refuse_source(picture, entry.name)
        save_picture(found, picture, pictures.with_suffix(picture.suffix))
        if self.work.maps is not None:
            save_map(found, self.work.maps / entry.label_map, maps[0])

    @staticmethod
    def _part_folders(work: Work) -> list[Path]:
        parts = work.job.folder / "parts"
        return [parts] if work.maps is None else [parts, work.maps / work.job.folder.name]
