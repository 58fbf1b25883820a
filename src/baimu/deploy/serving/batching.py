"""Batches of what waits: one thread that runs a network, and never waits for a request that has not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Job:
    """Something for a batch. Jobs of one ``kind`` may share one; a cancelled ``future`` takes it away again."""

    work: Any
    kind: Hashable
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Runs ``run`` on lists of at most ``most`` jobs' work in a thread of its own, the oldest first.

    When the thread is free it takes what waits. What is being made ready at that moment (:meth:`coming`) it waits for,
    at most as long as its last batch took, for two batches cost more than one; what has not come yet it waits for only
    with a ``window`` (seconds). Where a batch fails, its jobs run one by one, so that a bad one harms no other.

    ``told`` hears of every batch: how many, and its seconds. ``begin`` runs in the thread before all else.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], Sequence[Any]],
        *,
        most: int,
        window: float = 0.0,
        name: str = "",
        told: Callable[[int, float], None] = lambda size, seconds: None,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._run, self._told, self._begin = run, told, begin
        self.most, self.window = most, window
        self.seconds = 0.0  # of the last batch
        self._waiting: list[Job] = []
        self._coming: set[int] = set()
        self._tickets = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"baimu-network-{name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def coming(self) -> int:
        """Announce a job that is being made ready: a ticket, to be given to :meth:`came` whatever becomes of it."""
        with self._changed:
            self._tickets += 1
            self._coming.add(self._tickets)
            return self._tickets

    def came(self, ticket: int) -> None:
        """What the ticket announced has been put, or never will be."""
        with self._changed:
            self._coming.discard(ticket)
            self._changed.notify()

    def put(self, job: Job) -> None:
        """Let a job wait for its batch."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda future: self._forget(job) if future.cancelled() else None)

    def close(self) -> None:
        """Take what waits and what is coming, then end the thread; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the thread of a closed one."""
        self._thread.join(seconds)

    def _forget(self, job: Job) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _work(self) -> None:
        self._begin()
        while (batch := self._take()) is not None:
            began = time.monotonic()
            if batch:
                self._answer(batch)
                self.seconds = time.monotonic() - began
                self._told(len(batch), self.seconds)

    def _take(self) -> list[Job] | None:
        """The next batch, empty where all of it was cancelled; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or (self._closed and not self._coming))
            if not self._waiting:
                return None
            self._gather()
            alike = self._alike()[: self.most]
            self._waiting = [job for job in self._waiting if job not in alike]
            return [job for job in alike if job.future.set_running_or_notify_cancel()]

    def _gather(self) -> None:
        """Wait for what is being made ready now, and through the window, until a batch is full."""
        now, present = time.monotonic(), set(self._coming)
        while self._waiting and len(self._alike()) < self.most:
            until = now + max(self.window, self.seconds if present & self._coming else 0.0)
            if not self._changed.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                return

    def _alike(self) -> list[Job]:
        """Those that may share a batch with the oldest."""
        return [job for job in self._waiting if job.kind == self._waiting[0].kind]

    def _answer(self, batch: list[Job]) -> None:
        try:
            results = self._run([job.work for job in batch])
            for job, result in zip(batch, results, strict=True):
                job.future.set_result(result)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for job in batch:
                    self._answer([job])
