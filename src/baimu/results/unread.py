"""An image of which there is no result, because it cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from baimu.results.result import Result


@dataclass(frozen=True, eq=False)
class Unread(Result):
    """Stands in the place of a result where ``on_error="record"`` was asked for, so that N images give N results.

    ``error`` says what is wrong with ``source`` and the mend; nothing else is known of it.
    """

    source: str
    error: str
    names: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    @property
    def summary(self) -> str:
        return f"not read: {self.error.removeprefix(f'{self.source}: ')}"

    def to_dict(self) -> dict[str, Any]:
        """``source`` and ``error``."""
        return {"source": self.source, "error": self.error}

    columns = ("source", "error")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row, the error."""
        return [(self.source, self.error)]
