"""What happens to the shards of workers that die, with a Ray that does everything at once and dies on demand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from baimu.deploy.crew import Crew, Progress
from baimu.deploy.shards import Entry
from baimu.errors import BaimuError, DataError


class Died(Exception):
    pass


class FakeRay:
    """Promises are functions, kept when they are asked for."""

    exceptions = SimpleNamespace(RayTaskError=ZeroDivisionError, RayError=Died)

    def __init__(self) -> None:
        self.killed: list[Any] = []

    def put(self, value: Any) -> Any:
        return value

    def wait(self, promises: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return promises[:1], promises[1:]

    def get(self, promise: Callable[[], Any]) -> Any:
        return promise()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


class FakeWorker:
    """Dies at a shard as often as ``deadly`` says, and then is dead; held shards are remembered."""

    def __init__(self, seen: list[int], deadly: dict[int | None, int]) -> None:
        self.seen, self.deadly, self.dead, self.held, self.most = seen, deadly, False, 0, 0
        self.begin = SimpleNamespace(remote=lambda *_: lambda: self._live(None, "here:1"))
        self.run = SimpleNamespace(remote=self._run)

    def _run(self, number: int, entries: list[Entry]) -> Callable[[], Any]:
        self.held += 1
        self.most = max(self.most, self.held)

        def keep() -> Any:
            answer = self._live(number, (len(entries), 0))
            self.held -= 1
            self.seen.append(number)
            return answer

        return keep

    def _live(self, number: int | None, answer: Any) -> Any:
        if self.deadly.get(number, 0) and not self.dead:
            self.deadly[number] -= 1
            self.dead = True
        if self.dead:
            raise Died("killed")
        return answer


class FakeJob:
    images = 20

    def shards(self) -> Any:
        return ((i, [Entry(0, f"{2 * i + j}.jpg", "", "") for j in range(2)]) for i in range(10))


def run(
    deadly: dict[int | None, int], done: set[int] | None = None
) -> tuple[list[int], list[FakeWorker], list[Progress]]:
    seen: list[int] = []
    workers: list[FakeWorker] = []
    told: list[Progress] = []

    def hire() -> FakeWorker:
        workers.append(FakeWorker(seen, deadly))
        return workers[-1]

    nothing: Any = None
    job: Any = FakeJob()
    Crew(FakeRay(), hire, nothing, nothing, "1").run(job, done or set(), 2, told.append)
    return seen, workers, told


def test_every_shard_is_done_once_and_nobody_holds_more_than_two() -> None:
    seen, workers, told = run({})
    assert sorted(seen) == list(range(10))
    assert max(worker.most for worker in workers) == 2
    assert told[-1].done == 20


def test_what_is_done_is_not_done_again() -> None:
    seen, _, told = run({}, done={0, 3, 9})
    assert sorted(seen) == [1, 2, 4, 5, 6, 7, 8]
    assert (told[0].done, told[-1].done) == (6, 20)
    assert told[-1].before == 6


def test_shards_of_the_dead_go_to_others() -> None:
    seen, workers, told = run({0: 2, 5: 1, 9: 2, None: 3})
    assert sorted(seen) == list(range(10))
    assert told[-1].deaths == 8 == len(workers) - 2


def test_a_shard_that_kills_whoever_has_it_is_named_with_its_images() -> None:
    with pytest.raises(DataError, match=r"shard 4: 3 workers died at it.*8\.jpg, 9\.jpg"):
        run({4: 99})


def test_workers_that_never_begin_are_given_up() -> None:
    with pytest.raises(BaimuError, match="before they have loaded the model"):
        run({None: 99})


def test_the_rate_is_that_of_this_run() -> None:
    progress = Progress(done=300, before=100, images=500, unread=0, workers=(), deaths=0, seconds=50.0)
    assert progress.rate == 4.0
    assert progress.left == 50.0
    assert progress._replace(done=100).left is None
