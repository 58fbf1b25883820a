"""The thread that runs a network: what shares a batch, what it waits for, and what it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from baimu.deploy.serving.batching import Batcher, Job


class Network:
    """Doubles numbers; holds each batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, work: list[int]) -> list[int]:
        self.batches.append(work)
        self.entered.release()
        self.go.acquire(timeout=10)
        if -1 in work:
            raise ArithmeticError("a bad one")
        return [2 * number for number in work]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def batcher(network: Network) -> Iterator[Batcher]:
    made = Batcher(network, most=4)
    yield made
    for _ in range(50):
        network.go.release()
    made.close()
    made.join(10)
    assert not made.alive


def put(batcher: Batcher, *numbers: int, kind: str = "") -> list[Any]:
    jobs = [Job(number, kind) for number in numbers]
    for job in jobs:
        batcher.put(job)
    return [job.future for job in jobs]


def test_it_takes_what_waits_the_oldest_first(batcher: Batcher, network: Network) -> None:
    first = put(batcher, 0)
    network.entered.acquire()
    rest = put(batcher, 1, 2, 3, 4, 5, 6)
    for _ in range(3):
        network.go.release()
    assert [future.result(10) for future in first + rest] == [0, 2, 4, 6, 8, 10, 12]
    assert network.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_only_one_kind_shares_a_batch(batcher: Batcher, network: Network) -> None:
    put(batcher, 0)
    network.entered.acquire()
    put(batcher, 1, kind="a")
    put(batcher, 2, kind="b")
    last = put(batcher, 3, kind="a")
    for _ in range(3):
        network.go.release()
    last[0].result(10)
    network.entered.acquire()
    network.entered.acquire()
    assert network.batches == [[0], [1, 3], [2]]


def test_a_lone_job_waits_for_nothing(batcher: Batcher, network: Network) -> None:
    """With a last batch of ten seconds, one that comes alone is run at once: nothing is being made ready."""
    batcher.seconds = 10.0
    began = time.monotonic()
    put(batcher, 1)
    assert network.entered.acquire(timeout=5)
    assert time.monotonic() - began < 1


def test_it_waits_for_what_is_being_made_ready_and_not_for_what_comes_later(batcher: Batcher, network: Network) -> None:
    batcher.seconds = 10.0
    here = [batcher.coming(), batcher.coming()]
    put(batcher, 1)
    assert not network.entered.acquire(timeout=0.2)
    batcher.came(here[0])  # it turned out to be no image
    assert not network.entered.acquire(timeout=0.2)
    later = batcher.coming()
    put(batcher, 2)
    batcher.came(here[1])
    assert network.entered.acquire(timeout=5)
    assert network.batches == [[1, 2]]
    batcher.came(later)


def test_it_waits_no_longer_than_its_last_batch_took(batcher: Batcher, network: Network) -> None:
    batcher.seconds = 0.3
    slow = batcher.coming()
    began = time.monotonic()
    put(batcher, 1)
    assert network.entered.acquire(timeout=5)
    assert 0.25 < time.monotonic() - began < 3
    batcher.came(slow)


def test_a_window_waits_for_more_and_ends_with_a_full_batch(network: Network) -> None:
    batcher = Batcher(network, most=2, window=30.0)
    put(batcher, 1)
    assert not network.entered.acquire(timeout=0.2)
    [second] = put(batcher, 2)
    network.go.release()
    assert second.result(10) == 4
    batcher.close()
    batcher.join(10)
    assert network.batches == [[1, 2]]


def test_what_is_cancelled_leaves_the_queue(batcher: Batcher, network: Network) -> None:
    put(batcher, 0)
    network.entered.acquire()
    one, two = put(batcher, 1, 2)
    assert one.cancel()
    network.go.release()
    network.go.release()
    assert two.result(10) == 4
    assert network.batches == [[0], [2]]


def test_a_bad_one_harms_no_other(batcher: Batcher, network: Network) -> None:
    put(batcher, 0)
    network.entered.acquire()
    good, bad, other = put(batcher, 1, -1, 3)
    for _ in range(5):
        network.go.release()
    assert (good.result(10), other.result(10)) == (2, 6)
    with pytest.raises(ArithmeticError, match="a bad one"):
        bad.result(10)


def test_closing_answers_what_waits_and_what_is_coming(network: Network) -> None:
    heard: list[int] = []
    batcher = Batcher(network, most=4, told=lambda size, seconds: heard.append(size))
    ticket = batcher.coming()
    batcher.close()
    time.sleep(0.05)
    assert batcher.alive
    [future] = put(batcher, 5)
    batcher.came(ticket)
    network.go.release()
    assert future.result(10) == 10
    batcher.join(10)
    assert not batcher.alive
    assert heard == [1]
