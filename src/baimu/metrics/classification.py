"""How well images are classified: accuracy, precision and recall by class, calibration; the ranking of several labels.

N images, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from baimu.metrics.calibration import Reliability, reliability
from baimu.metrics.ranking import rank
from baimu.metrics.scores import RECALLS

FIGURES = ("top1", "top5", "macro_f1", "macro_precision", "macro_recall", "ece")
"""Of one label an image."""

MULTI_LABEL_FIGURES = ("mean_ap", "macro_auc", "macro_f1", "macro_precision", "macro_recall", "ece")
"""Of any number of labels an image."""

THRESHOLD = 0.5
"""A label of several is given to an image from this probability on."""

MISTAKES = 24
"""So many of the worst mistakes are remembered."""


def figure_names(*, multi_label: bool) -> tuple[str, ...]:
    """All figures in the order of a run's results; the first one decides which checkpoint is best."""
    return MULTI_LABEL_FIGURES if multi_label else FIGURES


class Mistake(NamedTuple):
    """A wrong answer: ``image`` is its position among those scored. With several labels an image one of the two is −1:
    no ``truth`` where a label was given wrongly, nothing ``found`` where one was missed."""

    image: int
    truth: int
    found: int
    probability: float  # of ``found``, or of the label that was missed


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The figures, each in 0…1 or nan where undefined, and what lies behind them, by class.

    ``top1``, ``top5`` and ``confusion`` are of one label an image, ``mean_ap``, ``macro_auc`` and ``precision`` of
    several.
    """

    multi_label: bool
    classes: tuple[str, ...]
    images: int  # those of which anything is known
    top1: float
    top5: float  # nan of up to five classes, where it says nothing
    macro_precision: float
    macro_recall: float
    macro_f1: float
    mean_ap: float
    macro_auc: float
    class_images: np.ndarray  # (K,) int64, images that have the class
    class_found: np.ndarray  # (K,) int64, images that were given it
    class_precision: np.ndarray  # (K,)
    class_recall: np.ndarray  # (K,)
    class_f1: np.ndarray  # (K,)
    class_ap: np.ndarray  # (K,)
    class_auc: np.ndarray  # (K,)
    precision: np.ndarray  # (K, 101) at RECALLS
    confusion: np.ndarray | None  # (K, K) int64, row truth, column found
    reliability: Reliability  # of the best class's probability, or of every class's
    mistakes: tuple[Mistake, ...]  # the surest first

    @property
    def ece(self) -> float:
        """Expected calibration error, over 15 bins."""
        return self.reliability.ece

    def figures(self) -> dict[str, float]:
        """The figures by name, in the order of :func:`figure_names`; undefined ones are nan."""
        return {name: getattr(self, name) for name in figure_names(multi_label=self.multi_label)}

    def table(self) -> list[dict[str, Any]]:
        """Rows for printing: all classes together, then each; ``found`` counts the images that were given a class."""
        rows = {
            "class": ["all", *self.classes],
            "images": [self.images, *self.class_images.tolist()],
            "found": [int(self.class_found.sum()), *self.class_found.tolist()],
            "precision": [self.macro_precision, *self.class_precision.tolist()],
            "recall": [self.macro_recall, *self.class_recall.tolist()],
            "f1": [self.macro_f1, *self.class_f1.tolist()],
        }
        if self.multi_label:
            rows["ap"] = [self.mean_ap, *self.class_ap.tolist()]
            rows["auc"] = [self.macro_auc, *self.class_auc.tolist()]
        return [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Figures, classes, confusion matrix and reliability ready for JSON (undefined: None)."""
        rows = [{k: _json(v) for k, v in row.items()} for row in self.table()[1:]]
        bins = {name: [_json(v) for v in column.tolist()] for name, column in self.reliability._asdict().items()}
        return {
            **{name: _json(value) for name, value in self.figures().items()},
            "images": self.images,
            "classes": rows,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "reliability": bins,
        }

    def __str__(self) -> str:
        rows = self.table()
        width = max(5, *(len(row["class"]) for row in rows))
        shares = [name for name in rows[0] if name not in ("class", "images", "found")]
        defined = {name: value for name, value in self.figures().items() if not math.isnan(value)}
        lines = ["  ".join(f"{name} {_three(value)}" for name, value in defined.items())]
        lines.append(f"{'class':<{width}}  images   found  " + "  ".join(f"{name:>9}" for name in shares))
        for row in rows:
            cells = "  ".join(f"{_three(row[name]):>9}" for name in shares)
            lines.append(f"{row['class']:<{width}}  {row['images']:>6}  {row['found']:>6}  {cells}")
        return "\n".join(lines)


def score(
    probabilities: np.ndarray, shares: np.ndarray, classes: Sequence[str], multi_label: bool = False
) -> ClassScores:
    """Judge probabilities (N, K) in 0…1 by ``shares`` (N, K) as of :class:`~baimu.targets.ClassTargets`.

    One label an image: the truth is its largest share, the answer its largest probability; of equal ones the earlier
    class comes first. Several: every class of every image is a question, answered by yes from 0.5 on; shares of −1
    are not known and do not count, nor does an image without any that is known.

    Precision, recall and F1 of a class are nan where nothing was given it, where nothing has it, and where neither.
    Macro figures are means over the classes that some image has; a class that was never given counts as a precision of
    0. Average precision and AUC as of :func:`~baimu.metrics.ranking.rank`. Calibration is that of the best class's
    probability; of several labels that of all.

    Raises ``ValueError`` where shapes do not fit, a probability is not in 0…1, or an image that must have a label has
    none.
    """
    if probabilities.shape != shares.shape or shares.shape[1:] != (len(classes),):
        raise ValueError(
            f"probabilities and shares must be (N, {len(classes)}); got {probabilities.shape} and {shares.shape}"
        )
    wrong = np.flatnonzero(~((probabilities >= 0) & (probabilities <= 1)).all(1))  # nan too
    if len(wrong):
        raise ValueError(f"probabilities must lie in 0…1; those of image {wrong[0]} do not")
    known = (shares >= 0).any(1)
    places = np.flatnonzero(known)
    if not known.all():
        probabilities, shares = probabilities[places], shares[places]
    judge = _score_many if multi_label else _score_one
    return judge(probabilities, shares, tuple(classes), places)


def _score_one(p: np.ndarray, shares: np.ndarray, classes: tuple[str, ...], places: np.ndarray) -> ClassScores:
    """Of one label an image; ``places`` (N,) are the images' own positions."""
    unlabelled = np.flatnonzero(shares.max(1, initial=0) <= 0)
    if len(unlabelled):
        raise ValueError(f"image {places[unlabelled[0]]} has no label; give it one, or −1 throughout if none is known")
    count, row = len(classes), np.arange(len(p))
    truth, found = (x.argmax(1) if len(p) else np.zeros(0, np.int64) for x in (shares, p))
    confusion = np.bincount(truth * count + found, minlength=count**2).reshape(count, count)
    own = p[row, truth][:, None]
    before = (p > own).sum(1) + ((p == own) & (np.arange(count) < truth[:, None])).sum(1)
    confidence = p[row, found].astype(np.float64)
    wrong = np.flatnonzero(truth != found)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    nothing = np.full(count, math.nan)
    return ClassScores(
        multi_label=False,
        classes=classes,
        images=len(p),
        top1=_mean(before < 1),
        top5=_mean(before < 5) if count > 5 else math.nan,
        mean_ap=math.nan,
        macro_auc=math.nan,
        class_ap=nothing,
        class_auc=nothing,
        precision=np.full((count, len(RECALLS)), math.nan),
        confusion=confusion,
        reliability=reliability(confidence, truth == found),
        mistakes=tuple(Mistake(int(places[i]), int(truth[i]), int(found[i]), float(confidence[i])) for i in worst),
        **_by_class(confusion.diagonal(), confusion.sum(1), confusion.sum(0)),
    )


def _score_many(p: np.ndarray, shares: np.ndarray, classes: tuple[str, ...], places: np.ndarray) -> ClassScores:
    """Of any number of labels an image."""
    known, truth, found = shares >= 0, shares >= THRESHOLD, p >= THRESHOLD
    ranked = [rank(p[known[:, k], k], truth[known[:, k], k], RECALLS) for k in range(len(classes))]
    class_ap, class_auc = (np.array([getattr(r, name) for r in ranked]) for name in ("ap", "auc"))
    return ClassScores(
        multi_label=True,
        classes=classes,
        images=len(p),
        top1=math.nan,
        top5=math.nan,
        mean_ap=_mean(class_ap[~np.isnan(class_ap)]),
        macro_auc=_mean(class_auc[~np.isnan(class_auc)]),
        class_ap=class_ap,
        class_auc=class_auc,
        precision=np.stack([r.precision for r in ranked]),
        confusion=None,
        reliability=reliability(p[known].astype(np.float64), truth[known]),
        mistakes=_label_mistakes(p, truth, found, known, places),
        **_by_class((truth & found & known).sum(0), (truth & known).sum(0), (found & known).sum(0)),
    )


def _label_mistakes(
    p: np.ndarray, truth: np.ndarray, found: np.ndarray, known: np.ndarray, places: np.ndarray
) -> tuple[Mistake, ...]:
    """The worst of each image, for one picture may have many."""
    if not len(p):
        return ()
    gap = np.where((truth != found) & known, np.abs(p - truth), -1.0)
    label = gap.argmax(1)
    worst = gap[np.arange(len(p)), label]
    order = np.argsort(-worst, kind="stable")[:MISTAKES]
    return tuple(
        Mistake(int(places[i]), int(k) if truth[i, k] else -1, int(k) if found[i, k] else -1, float(p[i, k]))
        for i, k in zip(order, label[order], strict=True)
        if worst[i] >= 0
    )


def _by_class(hits: np.ndarray, images: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Counts, precision, recall and F1 of each class (K,), and their means over the classes that some image has."""
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = hits / found, hits / images, 2 * hits / (found + images)
    seen = images > 0
    return {
        "class_images": images,
        "class_found": found,
        "class_precision": precision,
        "class_recall": recall,
        "class_f1": f1,
        "macro_precision": _mean(np.nan_to_num(precision[seen])),
        "macro_recall": _mean(recall[seen]),
        "macro_f1": _mean(f1[seen]),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
