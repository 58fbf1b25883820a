"""How well embeddings tell identities apart: a search among the images themselves, and the verification of pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from baimu.datasets.source import IdentitySource
from baimu.metrics.retrieval import Retrieval, retrieve
from baimu.metrics.verification import Verification, draw_pairs, verify

FIGURES = (
    "recall_at_1", "recall_at_5", "recall_at_10", "mean_ap", "map_at_r", "mean_inp",
    "verification", "tar_at_far_1e-2", "tar_at_far_1e-3", "auc",
)  # fmt: skip
"""In the order of a run's results; the first decides which checkpoint is best."""

WORST = 20  # identities in the table


@dataclass(frozen=True, eq=False)
class IdentityScores:
    """The figures, each in 0…1 or nan where undefined, and what lies behind them."""

    classes: tuple[str, ...]
    ids: np.ndarray  # (N,) int64
    retrieval: Retrieval
    verification: Verification
    pairs_are_named: bool  # by the data; else they were drawn

    def figures(self) -> dict[str, float]:
        """By name, in the order of :data:`FIGURES`."""
        search, pairs = self.retrieval, self.verification
        values = (
            search.recall(1), search.recall(5), search.recall(10), search.mean_ap, search.mean_ap_at_r, search.mean_inp,
            pairs.accuracy, pairs.tar_at_far(1e-2), pairs.tar_at_far(1e-3), pairs.auc,
        )  # fmt: skip
        return dict(zip(FIGURES, values, strict=True))

    def table(self) -> list[dict[str, Any]]:
        """All identities together, then those that are found worst, by mean average precision."""
        search = self.retrieval
        own = self.ids[search.queries][search.answerable]
        first, precision = search.ranked.first[search.answerable], search.ranked.precision[search.answerable]
        count = np.bincount(own, minlength=len(self.classes))
        with np.errstate(invalid="ignore"):
            recall = np.bincount(own, first < 1, minlength=len(self.classes)) / count
            mean = np.bincount(own, precision, minlength=len(self.classes)) / count
        worst = [k for k in np.argsort(mean, kind="stable").tolist() if count[k]][:WORST]
        rows = [_row("all", len(own), search.recall(1), search.mean_ap)]
        return rows + [_row(self.classes[k], int(count[k]), float(recall[k]), float(mean[k])) for k in worst]

    def __str__(self) -> str:
        """The figures in a line or two, and the table."""
        shown = [f"{name} {_three(value)}" for name, value in self.figures().items()]
        unanswered = int((~self.retrieval.answerable).sum())
        kind = "named by the data" if self.pairs_are_named else "drawn"
        lines = ["  ".join(shown[:6]), "  ".join(shown[6:])]
        lines.append(
            f"{int(self.retrieval.answerable.sum()):,} queries, {len(self.verification.same):,} pairs ({kind}), "
            f"accuracy ± {_three(self.verification.deviation)} over the folds"
            + (f"; {unanswered:,} queries have no answer in the gallery and do not count" if unanswered else "")
        )
        rows = self.table()
        width = max(8, *(len(row["identity"]) for row in rows))
        lines.append(
            f"{'identity':<{width}}  queries  recall_at_1  mean_ap" + ("  (the worst)" if len(rows) > 2 else "")
        )
        lines += [
            f"{r['identity']:<{width}}  {r['queries']:>7}  {_three(r['recall_at_1']):>11}  {_three(r['mean_ap']):>7}"
            for r in rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Figures, identities and ROC curve ready for JSON (undefined: None)."""
        rate = [[_json(v) for v in column.tolist()] for column in self.verification.roc]
        return {
            **{name: _json(value) for name, value in self.figures().items()},
            "queries": int(self.retrieval.answerable.sum()),
            "cmc": [_json(v) for v in self.retrieval.cmc.tolist()],
            "false_accept_rate": rate[0],
            "true_accept_rate": rate[1],
            "identities": [{k: _json(v) for k, v in row.items()} for row in self.table()[1:]],
        }


def _row(name: str, queries: int, recall: float, mean: float) -> dict[str, Any]:
    return {"identity": name, "queries": queries, "recall_at_1": recall, "mean_ap": mean}


def score(vectors: np.ndarray, source: IdentitySource) -> IdentityScores:
    """All scores of embeddings (N, D) of length 1, one for each image of ``source``. Where the source names no pairs,
    6,000 are drawn, always the same ones.

    Raises ``ValueError`` where the counts differ or a number is not finite.
    """
    if vectors.ndim != 2 or len(vectors) != len(source) or not np.isfinite(vectors).all():
        raise ValueError(f"embeddings must be finite and ({len(source)}, D), one an image; got {vectors.shape}")
    ids, cameras, query, gallery = (
        np.array(column) for column in zip(*map(source.shown, range(len(source))), strict=True)
    )
    search = retrieve(vectors, ids, cameras=cameras, query=query, gallery=gallery)
    pairs = draw_pairs(ids) if source.pairs is None else source.pairs
    return IdentityScores(tuple(source.classes), ids, search, verify(vectors, pairs), source.pairs is not None)


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
