"""Worker processes that make batches; and where one is killed, hangs or fails, the images that it was at."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from baimu.errors import BaimuError, DataError
from baimu.targets import Batch

PATIENCE = 60.0
"""Seconds that a batch is waited for, twice. Without workers, it is waited for as long as it takes."""

SHOWN = 8
"""Names of images in a message."""


class Maker(Protocol):
    """Makes a task's batches; sent to worker processes."""

    source: Any

    def batch(self, indices: list[int]) -> Batch:
        """The images of these positions of the data set. Raises :class:`~baimu.errors.BaimuError`."""
        ...

    def names(self, indices: list[int]) -> list[str]:
        """What :meth:`batch` would read, without reading it."""
        return [self.source.name(index % len(self.source)) for index in indices]


class Crew:
    """The worker processes of one pass over ``lists``, or none, and what each of them is at.

    The message of an error that torch raises for a lost worker has a process id and no image, and it may come from a
    signal in the middle of anything, so :func:`naming_images` looks here what to say.
    """

    def __init__(self, maker: Maker, lists: Sequence[list[int]], workers: int) -> None:
        self.maker, self.lists, self.workers = maker, lists, workers
        self.seats = torch.full((max(1, workers), 2), -1).share_memory_()  # of each worker its process and its batch
        _LATEST.append(self)

    def batches(self) -> Iterator[Batch]:
        """All batches, in order."""
        loader: DataLoader[Batch | BaimuError] = DataLoader(
            _Made(self.maker, self.seats),
            batch_size=None,  # an item is a batch: workers send one padded tensor, not its images
            sampler=list(enumerate(self.lists)),  # pyright: ignore[reportArgumentType]
            num_workers=self.workers,
            collate_fn=_as_it_is,  # pyright: ignore[reportArgumentType]
            pin_memory=torch.cuda.is_available(),
            timeout=PATIENCE if self.workers else 0,
            worker_init_fn=leave_with_parent,
            generator=torch.Generator().manual_seed(0),  # else it draws a seed from the global generator
        )
        arriving = iter(loader)
        for number in range(len(self.lists)):
            batch = self._next(arriving, number)
            if isinstance(batch, BaimuError):
                raise batch
            yield batch

    def _next(self, arriving: Iterator[Any], number: int) -> Batch | BaimuError:
        for last in (False, True):  # waited for twice: a program that Ctrl-Z stops for a while must not fail
            try:
                return next(arriving)
            except RuntimeError as error:
                if not str(error).startswith("DataLoader timed out"):
                    raise
                if last:
                    raise DataError(
                        f"a worker that loads data has not brought its batch in {2 * PATIENCE:.0f} seconds; images: "
                        f"{self.images(number)}. Look whether they can be read and whether their disk answers; "
                        "workers=0 waits as long as it takes"
                    ) from error
        raise AssertionError

    def images(self, number: int) -> str:
        """Those of a batch, in words."""
        return _shortened(self.maker.names(self.lists[number]))

    def lost(self, process: int, reason: str) -> str | None:
        """What to say of a worker that is no more, if it was one of these."""
        for seat, (own, number) in enumerate(self.seats.tolist()):
            if own == process:
                return (
                    f"worker {seat + 1} of {self.workers} that load data {reason}; the batch it was at has the images "
                    f"{self.images(number)}. {_mend(reason)}"
                )
        return None


_LATEST: deque[Crew] = deque(maxlen=4)
"""Training and evaluation may each have some; the iterators that they came from are gone when an error arrives."""


class _Made(Dataset["Batch | BaimuError"]):
    """A maker as torch's loader wants it. An error is returned: raised through a worker its message would drown in a
    traceback. One that is nobody's mistake but the program's keeps its traceback, and is told the images."""

    def __init__(self, maker: Maker, seats: Tensor) -> None:
        self.maker, self.seats = maker, seats

    def __getitem__(self, place: tuple[int, list[int]]) -> Batch | BaimuError:
        number, indices = place
        worker = get_worker_info()
        if worker is not None:
            self.seats[worker.id] = torch.tensor([os.getpid(), number])
        try:
            return self.maker.batch(indices)
        except BaimuError as error:
            return error
        except Exception as error:
            error.add_note(f"while the batch with these images was made: {_shortened(self.maker.names(indices))}")
            raise


def leave_with_parent(worker: int) -> None:
    """End a worker whose parent was killed before it began. Torch's own watch would take whoever adopts it for its
    parent, and never end."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(0)


@contextlib.contextmanager
def naming_images() -> Iterator[None]:
    """Inside, the end of a worker is a :class:`~baimu.errors.DataError` that names the images it was at."""
    try:
        yield
    except RuntimeError as error:
        # Torch says by which signal, and then, as a consequence, that a worker exited unexpectedly.
        words = [str(error.__cause__ or ""), str(error)]
        found = next(
            filter(None, (re.search(r"DataLoader worker \(pid(?:\(s\))? (\d+).*?\) (.*)", w) for w in words)), None
        )
        if found is None:
            raise
        told = [crew.lost(int(found[1]), _reason(found[2])) for crew in _LATEST]
        raise DataError(next(filter(None, told), str(error))) from error
    finally:
        _LATEST.clear()


def _reason(said: str) -> str:
    """Torch's words for how a worker ended, in ours."""
    for number in signal.Signals:
        if f"by signal: {signal.strsignal(number)}." in said:
            return f"was killed ({number.name})"
    return "ended"


def _mend(reason: str) -> str:
    if "SIGBUS" in reason:
        return "Shared memory is full: give the machine or container more of it (/dev/shm), or set workers=0"
    if "SIGSEGV" in reason:
        return "One of them may break its decoder: baimu data check finds out which"
    return "Most often memory has run out: lower workers or batch_size; workers=0 has none that could be killed"


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _as_it_is(batch: Batch | BaimuError) -> Batch | BaimuError:
    return batch
