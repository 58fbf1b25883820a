"""What makes data sets of arrays, as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from baimu.results import Detections
from tests.metrics.arrays import ArraySource, make_detections, make_source


@pytest.fixture(scope="session")
def source() -> Callable[..., ArraySource]:
    return make_source


@pytest.fixture(scope="session")
def detections() -> Callable[..., list[Detections]]:
    return make_detections
