"""The classes of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from baimu.errors import unknown
from baimu.results.result import Result, extra

if TYPE_CHECKING:
    import pandas


class Guess(NamedTuple):
    """One class that an image may have."""

    label: int
    name: str
    score: float  # its probability


@dataclass(frozen=True, eq=False)
class Classification(Result):
    """What an image shows as a whole.

    ``probabilities`` (K,) float32 in 0…1 of the classes ``names``: they sum to 1, unless with ``multi_label`` each is a
    question of its own. ``size``, ``source``, ``image`` and ``read`` as of :class:`~baimu.results.result.Result`.
    ``top`` and ``min_score`` say which classes are worth telling: at most so many, and of no lower probability.
    Raises ``ValueError`` when shapes, range or sum do not fit.
    """

    probabilities: np.ndarray
    names: tuple[str, ...]
    size: tuple[int, int]
    source: str = ""
    multi_label: bool = False
    top: int = 5
    min_score: float = 0.0
    image: np.ndarray | None = None
    read: Callable[[], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.names),) or not self.names:
            raise ValueError(
                f"probabilities must be (K,), one for each of {len(self.names)} names; got {self.probabilities.shape}"
            )
        if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():  # nan too
            raise ValueError(f"probabilities must lie in 0…1 (source {self.source!r})")
        total = float(self.probabilities.sum(dtype=np.float64))
        if not self.multi_label and abs(total - 1) > 1e-3:
            raise ValueError(f"probabilities of one label must sum to 1, not {total:.4f} (source {self.source!r})")

    @property
    def label(self) -> int:
        """The most probable class, the first of equal ones."""
        return int(self.probabilities.argmax())

    @property
    def name(self) -> str:
        """The name of the most probable class."""
        return self.names[self.label]

    @property
    def score(self) -> float:
        """The probability of the most probable class."""
        return float(self.probabilities.max())

    def topk(self, k: int = 5) -> list[Guess]:
        """The ``k`` most probable classes, or all if there are fewer, best first."""
        return self.filter()[:k]

    def filter(self, *, min_score: float = 0.0, classes: Sequence[str] | None = None) -> list[Guess]:
        """The classes of at least ``min_score`` and, if given, of these names, best first."""
        for name in classes or ():
            if name not in self.names:
                raise unknown("class", name, self.names)
        order = np.argsort(-self.probabilities, kind="stable").tolist()
        guesses = (Guess(label, self.names[label], float(self.probabilities[label])) for label in order)
        return [g for g in guesses if g.score >= min_score and (classes is None or g.name in classes)]

    @property
    def best(self) -> list[Guess]:
        """What is worth telling, best first: at most ``top`` classes of at least ``min_score``."""
        return self.filter(min_score=self.min_score)[: self.top]

    @property
    def summary(self) -> str:
        """The ``best`` classes: ``cat 93.1%, dog 5.2%``."""
        return ", ".join(f"{guess.name} {guess.score:.1%}" for guess in self.best) or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """The ``best`` classes as plain numbers and strings, ready for JSON; the image stays behind."""
        classes = [{"name": guess.name, "label": guess.label, "score": guess.score} for guess in self.best]
        return {"source": self.source, "height": self.size[0], "width": self.size[1], "classes": classes}

    columns = ("source", "name", "label", "score")

    def to_rows(self) -> list[tuple[Any, ...]]:
        """One row a class, the ``best`` ones."""
        return [(self.source, guess.name, guess.label, f"{guess.score:.4f}") for guess in self.best]

    def to_pandas(self) -> pandas.DataFrame:
        """One row a class, all of them, best first (needs pandas)."""
        pandas = extra("pandas")
        labels, names, scores = zip(*self.filter(), strict=True)
        return pandas.DataFrame({"name": names, "label": labels, "score": scores, "source": self.source})
