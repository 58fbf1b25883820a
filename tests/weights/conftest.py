"""A server on this machine, and a cache folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import Server, serve


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of ``BAIMU_CACHE``; with a name that is not ASCII, and not made yet."""
    folder = tmp_path / "缓存 für weights"
    monkeypatch.setenv("BAIMU_CACHE", str(folder))
    monkeypatch.delenv("BAIMU_OFFLINE", raising=False)
    return folder
