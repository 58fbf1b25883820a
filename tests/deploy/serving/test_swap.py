"""A model takes another's place while requests come: none fails, each is answered by one of the two, the later by the
new."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baimu
from baimu.errors import BaimuError
from baimu.preprocess import Preprocess
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe
from baimu.zoo import create_model
from tests.deploy.serving.client import Answer, ask, encoded
from tests.inference.test_classifying import PLAIN, ColourNamer

IMAGE = encoded(np.full((20, 30, 3), (200, 100, 20), np.uint8))
TOKEN = "a word that only its owner knows"


class Renamed(ColourNamer):
    """The same with other names."""

    classes = ("rot", "grün", "blau")


def namer(kind: type[ColourNamer] = ColourNamer) -> ColourNamer:
    return kind(Preprocess(**PLAIN, resize="none"))


def save(path: Path, seed: int) -> Path:
    """A checkpoint of a small classifier."""
    torch.manual_seed(seed)
    model = create_model("squeezenet1_1", num_classes=3)
    model.preprocess = Preprocess(resize="crop", size=48)
    model.classes = (f"first {seed}", f"second {seed}", f"third {seed}")
    write_archive(path, {f"model.{name}": value for name, value in model.state_dict().items()}, describe(model))
    return path


class Load:
    """Clients that ask without a pause until they are stopped."""

    def __init__(self, url: str, clients: int, body: bytes = IMAGE) -> None:
        self.answers: list[tuple[float, Answer]] = []
        self.errors: list[Exception] = []
        self._url, self._body, self._end = url, body, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                self.answers.append((began, ask(self._url, "/predict", self._body)))
            except Exception as error:
                self.errors.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many more answers are there."""
        target = len(self.answers) + count
        while len(self.answers) < target and not self.errors:
            time.sleep(0.005)


def test_no_request_fails_while_models_change(start) -> None:
    server = start({"colours": namer()})
    swapped: list[float] = []
    with Load(server.url, 8) as load:
        for kind in (Renamed, ColourNamer, Renamed):
            load.wait_for(40)
            server.swap("colours", namer(kind))
            swapped.append(time.monotonic())
        load.wait_for(40)
    assert load.errors == []
    assert {answer.status for _, answer in load.answers} == {200}
    assert {answer.json["version"] for _, answer in load.answers} == {1, 2, 3, 4}
    for began, answer in load.answers:
        told = answer.json
        assert told["version"] > sum(began > moment for moment in swapped)  # who came later has the new one
        assert told["results"][0]["classes"][0]["name"] == ("red", "rot")[(told["version"] + 1) % 2]
    assert len([t for t in threading.enumerate() if t.name == "baimu-network-colours"]) == 1


def test_a_model_that_cannot_answer_never_takes_the_place(start) -> None:
    class Broken(ColourNamer):
        def classify(self, images: Any) -> Any:
            raise RuntimeError("no kernel for this")

    server = start({"colours": namer()})
    with pytest.raises(BaimuError, match=r"colours: cannot answer for a plain image \(no kernel for this\)"):
        server.swap("colours", namer(Broken))
    assert ask(server.url, "/predict", IMAGE).json["version"] == 1
    with pytest.raises(BaimuError, match="colours: cannot answer"):
        baimu.serve({"colours": namer(Broken)}, port=0, block=False)


def test_reloading_needs_the_token_and_takes_no_path(start, tmp_path: Path) -> None:
    path = save(tmp_path / "net.safetensors", 1)
    server = start({"net": str(path)}, token=TOKEN)
    names = lambda: {c["name"] for c in ask(server.url, "/predict", IMAGE).json["results"][0]["classes"]}  # noqa: E731
    assert "first 1" in names()
    save(path, 2)
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN}x"}):
        refused = ask(server.url, "/models/net/reload", b"", **given)
        assert (refused.status, refused.code) == (401, "wrong_token")
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(server.url, "/models/other/reload", b"", **own).status == 404
    assert "first 1" in names()
    done = ask(server.url, "/models/net/reload", b'{"path": "/etc/passwd"}', **own)
    assert (done.status, done.json) == (200, {"model": "net", "version": 2})
    assert "first 2" in names()
    path.write_bytes(b"half a file")
    failed = ask(server.url, "/models/net/reload", b"", **own)
    assert (failed.status, failed.code) == (500, "not_loaded")
    assert str(tmp_path).encode() not in failed.body
    assert "first 2" in names()


def test_without_a_token_nobody_reloads(start) -> None:
    refused = ask(start(namer()).url, "/models/colournamer/reload", b"", Authorization="Bearer ")
    assert (refused.status, refused.code) == (403, "closed")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """``baimu serve`` as a process, its address and its checkpoint."""
    path = save(tmp_path / "net.safetensors", 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "baimu", "serve", str(path), "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    try:
        assert lines[0] == "net: classification, 3 classes\n"
        yield process, lines[1].split()[2], path
    finally:
        process.kill()
        process.wait()


def test_the_command_serves_reloads_on_sighup_and_ends_with_all_answered(served) -> None:
    process, url, path = served
    [offline] = baimu.predict(baimu.load(path), [IMAGE])
    assert ask(url, "/predict", IMAGE).json["results"][0]["classes"][0]["name"] == offline.name
    with Load(url, 4) as load:
        load.wait_for(10)
        save(path, 2)
        process.send_signal(signal.SIGHUP)
        while ask(url, "/predict", IMAGE).json["version"] == 1:
            time.sleep(0.02)
    assert load.errors == []
    assert {answer.status for _, answer in load.answers} == {200}
    many = threading.Thread(target=lambda: late.append(ask(url, "/predict", IMAGE)))
    late: list[Answer] = []
    many.start()
    while not late and ask(url, "/health").status != 200:
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    many.join()
    assert late[0].status == 200
    [logged] = process.stdout.read().splitlines()
    assert logged.endswith("net: version 2 serves now")
