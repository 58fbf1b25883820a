"""The command line in this process, a tiny data set, and a run trained on it through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from baimu.cli.main import app

TINY = "playground:train=8,val=4,size=64"


@pytest.fixture(scope="session")
def baimu() -> Callable[..., Any]:
    """Run a command: ``baimu("train", "fcos_r18_fpn", …)`` gives exit_code, stdout and stderr."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def run_folder(baimu: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector after one epoch on the playground."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    settings = ["epochs=1", "batch_size=4", "size=64", "workers=0"]
    done = baimu("train", "fcos_r18_fpn", "--data", TINY, "--out", out, *settings)
    assert done.exit_code == 0, done.output
    return out
