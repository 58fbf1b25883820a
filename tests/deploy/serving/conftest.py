"""Servers in threads of this process, on free loopback ports; the models of the tests of inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

import baimu
from baimu.deploy.serving.server import Server
from tests.inference.conftest import finder, make_finder, make_painter, picture

__all__ = ["finder", "make_finder", "make_painter", "picture"]


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """``start(model, **options)`` serves until the test ends."""
    running: list[Server] = []

    def begin(model: Any, **options: Any) -> Server:
        running.append(baimu.serve(model, port=0, block=False, threads=1, **options))
        return running[-1]

    yield begin
    for server in running:
        server.stop()
