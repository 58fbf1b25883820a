"""An image as a vector, and the images that are nearest to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from baimu.results.result import Result


@dataclass(frozen=True, eq=False)
class Embedding(Result):
    """What an embedder makes of an image: ``vector`` (D,) float32 of length 1. The dot product of two is the cosine of
    the angle between them: the more alike, the nearer to 1.

    ``size``, ``source``, ``image`` and ``read`` as of :class:`~baimu.results.result.Result`. Raises ``ValueError`` for
    what is no vector of length 1.
    """

    vector: np.ndarray
    size: tuple[int, int]
    names: tuple[str, ...] = ()
    source: str = ""
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or not abs(float(np.linalg.norm(self.vector)) - 1) < 1e-2:  # not finite, too
            raise ValueError(
                f"an embedding must be (D,) and of length 1, got {self.vector.shape} (source {self.source!r})"
            )

    def similarity(self, other: Embedding) -> float:
        """The cosine of the angle to ``other``, −1…1."""
        return float(self.vector @ other.vector)

    @property
    def summary(self) -> str:
        """How many numbers, and the first of them."""
        return f"{len(self.vector)} numbers: {' '.join(f'{value:.2f}' for value in self.vector[:4])} …"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON."""
        height, width = self.size
        return {"source": self.source, "height": height, "width": width, "embedding": self.vector.tolist()}


class Match(NamedTuple):
    """An image that a search found."""

    source: str
    name: str  # whom or what it shows, as far as the index knows: the name of its folder
    similarity: float  # cosine of the angle between the embeddings, −1…1
    read: Callable[[], np.ndarray]  # its pixels, RGB uint8


@dataclass(frozen=True, eq=False)
class Matches(Result):
    """The images of an index nearest to one image, most similar first.

    ``size``, ``source``, ``image`` and ``read`` are the query's, as of :class:`~baimu.results.result.Result`. Drawn, it
    is a row of pictures. Raises ``ValueError`` unless the similarities fall.
    """

    matches: tuple[Match, ...]
    size: tuple[int, int]
    names: tuple[str, ...] = ()
    source: str = ""
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        found = [match.similarity for match in self.matches]
        if found != sorted(found, reverse=True):
            raise ValueError(f"matches must come most similar first (source {self.source!r})")

    def __len__(self) -> int:
        return len(self.matches)

    @property
    def summary(self) -> str:
        """The first three: ``sparrow 0.93, sparrow 0.91, finch 0.72``."""
        shown = (f"{match.name or match.source} {match.similarity:.2f}" for match in self.matches[:3])
        return ", ".join(shown) + (", …" if len(self.matches) > 3 else "") if self.matches else "nothing"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON."""
        height, width = self.size
        rows = [{"source": m.source, "name": m.name, "similarity": m.similarity} for m in self.matches]
        return {"source": self.source, "height": height, "width": width, "matches": rows}

    columns = ("source", "found", "name", "similarity")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row a match."""
        return [(self.source, match.source, match.name, f"{match.similarity:.4f}") for match in self.matches]
