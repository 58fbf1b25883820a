"""Fixtures that every room shares, one torch thread a worker, and shapes checked at run time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("baimu", deadline=None)  # a machine that others use too is slow at times
settings.load_profile("baimu")

CHECKED = (
    "ops", "assign", "sample", "losses", "detection", "instance_segmentation", "tracking", "embedding", "preprocess",
    "targets",
)  # fmt: skip
install_import_hook([f"baimu.{room}" for room in CHECKED], "tests.typecheck.check")

import torch  # noqa: E402 - after the hook, so that what it imports is checked

import tests.typecheck  # noqa: E402, F401 - the hook finds it by name

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and small real data sets beside the checkout; absent, the test skips."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder 'shared' (goldens and real data) beside the checkout")
    return folder
