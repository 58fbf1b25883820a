"""Workers on a Ray cluster, and the shards that go to them: one that dies is replaced, its shards go to others."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from baimu.deploy.shards import Entry, Job
from baimu.deploy.shipment import Shipment
from baimu.deploy.worker import Work
from baimu.errors import BaimuError, DataError, ImageError

AHEAD = 2
"""Shards that a worker holds: the one it is at, and the next, so that it never waits for the driver."""
DEATHS = 3
"""Workers that a shard may cost. More says that it is the shard."""
_LOOK_SECONDS = 1.0

Shard = tuple[int, list[Entry]]


class Progress(NamedTuple):
    """How far a job is."""

    done: int  # images whose results are there
    before: int  # of these, images that an earlier run did
    images: int
    unread: int  # of this run, images that could not be read
    workers: tuple[str, ...]  # node:pid of those that are at work
    deaths: int  # workers that were lost
    seconds: float  # since the first worker had its model

    @property
    def rate(self) -> float:
        """Images a second, of this run."""
        return (self.done - self.before) / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that are left at this rate; None while it is not known."""
        return (self.images - self.done) / self.rate if self.rate else None


@dataclass(eq=False)
class _Member:
    actor: Any
    waiting: deque[tuple[Any, Shard | None]]  # Ray's promises in the order they are kept; the first is of the model
    name: str = ""  # empty while it has no model


@dataclass
class Crew:
    """The workers of one job. ``hire`` makes an actor of the worker; ``shipment`` and ``work`` are for each."""

    ray: Any
    hire: Callable[[], Any]
    shipment: Shipment
    work: Work
    version: str
    members: list[_Member] = field(default_factory=list)
    _back: deque[Shard] = field(default_factory=deque)  # shards of the dead
    _deaths: Counter[int | None] = field(default_factory=Counter)  # by shard; None: before the model was there
    _lost: int = 0

    def run(self, job: Job, done: set[int], count: int, report: Callable[[Progress], None]) -> Progress:
        """Every shard that is not ``done``, by ``count`` workers; how it ended. Raises what a worker raises, and
        :class:`~baimu.errors.BaimuError` where workers keep dying."""
        before = sum(len(entries) for number, entries in job.shards() if number in done) if done else 0
        progress = Progress(before, before, job.images, 0, (), 0, 0.0)
        report(progress)
        shards = (shard for shard in job.shards() if shard[0] not in done)
        parcel = self.ray.put(self.shipment)
        started = None
        try:
            for _ in range(count):
                self._hire(parcel)
            while progress.done < job.images:
                for member in self._kept_promises():
                    images, unread = self._settle(member, parcel)
                    progress = progress._replace(done=progress.done + images, unread=progress.unread + unread)
                self._feed(shards)
                names = tuple(member.name for member in self.members if member.name)
                started = started or (time.monotonic() if names else None)
                seconds = time.monotonic() - started if started else 0.0
                progress = progress._replace(workers=names, deaths=self._lost, seconds=seconds)
                report(progress)
            return progress
        finally:
            for member in self.members:
                self.ray.kill(member.actor)

    def _hire(self, parcel: Any) -> None:
        actor = self.hire()
        promise = actor.begin.remote(parcel, self.work, self.version)
        self.members.append(_Member(actor, deque([(promise, None)])))

    def _kept_promises(self) -> list[_Member]:
        """The workers whose first promise is kept or broken; after a second none may be."""
        first = {member.waiting[0][0]: member for member in self.members if member.waiting}
        ready, _ = self.ray.wait(list(first), num_returns=1, timeout=_LOOK_SECONDS)
        return [first[promise] for promise in ready]

    def _settle(self, member: _Member, parcel: Any) -> tuple[int, int]:
        """What a worker's first promise came to: images, and how many of them could not be read."""
        promise, shard = member.waiting[0]
        try:
            answer = self.ray.get(promise)
        except self.ray.exceptions.RayTaskError as error:
            raise _told(error) from None
        except self.ray.exceptions.RayError as error:
            self._bury(member, shard, error)
            self._hire(parcel)
            return 0, 0
        member.waiting.popleft()
        if shard is None:
            member.name = answer
            return 0, 0
        self._deaths.pop(None, None)
        return answer

    def _bury(self, member: _Member, shard: Shard | None, error: Exception) -> None:
        """Take back what a dead worker held; only what it was at can have killed it."""
        self.members.remove(member)
        self.ray.kill(member.actor)  # one that is only out of reach shall not go on
        self._back.extend(held for _, held in member.waiting if held is not None)
        self._lost += 1
        number = None if shard is None else shard[0]
        self._deaths[number] += 1
        reason = " ".join(str(error).split())
        if shard is None and self._deaths[None] > DEATHS + len(self.members):
            raise BaimuError(f"workers end before they have loaded the model; is there memory for it? ({reason})")
        if shard is not None and self._deaths[number] >= DEATHS:
            names = [entry.name for entry in shard[1]]
            raise DataError(
                f"shard {number}: {DEATHS} workers died at it, so one of its {len(names)} images does this "
                f"({_some(names)}), or there is too little memory; what is done is kept, the same command goes on. "
                f"{reason}"
            )

    def _feed(self, shards: Iterator[Shard]) -> None:
        """Fill up the hands of those that have a model, all with one shard before any has the second."""
        for held in range(1, AHEAD + 1):
            for member in self.members:
                if member.name and len(member.waiting) < held:
                    shard = self._back.popleft() if self._back else next(shards, None)
                    if shard is None:
                        return
                    member.waiting.append((member.actor.run.remote(*shard), shard))


def _told(error: Any) -> Exception:
    """What went wrong in a worker, as if it had here."""
    cause = error.cause
    if isinstance(cause, ImageError):
        return ImageError(f"{cause} (or go on without it: --on-error record); what is done is kept")
    return cause if isinstance(cause, BaimuError) else error


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 4 else [*names[:2], "…", names[-1]])
