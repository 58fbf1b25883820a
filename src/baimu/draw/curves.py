"""Charts as matplotlib figures on their own canvas: nothing global, so any thread may draw, and no window opens."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from baimu.draw.colours import class_colour
from baimu.draw.fonts import face_for

INK, QUIET, RULE = "#22262b", "#6b7280", "#e5e7eb"
PLACES = ("epoch", "step", "seconds")  # columns of results.csv that say when, not what
MANY = 20  # classes: beyond, they cannot be told apart by colour, nor their names be read

Row = Mapping[str, Any]


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that draws itself without pyplot."""
    made = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def save(made: Figure, path: str | Path, *, dpi: int = 144) -> Path:
    """Write a figure; the format follows the suffix. The file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    made.savefig(part, dpi=dpi)
    os.replace(part, path)
    return path


def styled(axes: Axes, title: str, x: str = "", y: str = "") -> Axes:
    """The look of every chart: two thin spines, a pale grid behind, quiet ticks, the title at the left."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel(x, fontsize=9, color=QUIET)
    axes.set_ylabel(y, fontsize=9, color=QUIET)
    axes.tick_params(labelsize=8, colors=QUIET, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9ca3af")
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def written(texts: Iterable[Text], names: Sequence[str]) -> None:
    """Put class names into texts as they are: no formulas, no lost underscores, a font that has their letters."""
    for text, name in zip(texts, names, strict=True):
        text.set_parse_math(False)
        text.set_text(name if len(name) <= 32 else name[:31] + "…")
        face = face_for(name)
        if face:
            text.set_fontproperties(FontProperties(fname=face, size=text.get_fontsize()))


def shade(label: int) -> str:
    """The class's colour for matplotlib."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(label))


def training_curves(rows: Sequence[Row]) -> Figure:
    """Losses, scores and learning rate over the epochs, from the rows of results.csv (dicts, or texts of a csv reader).

    By the order of the columns: what stands before ``lr`` is a loss, what follows it a score. Empty cells, which most
    rows have for scores, are passed over. A value that is not finite leaves a gap.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in PLACES))
    middle = columns.index("lr") if "lr" in columns else len(columns)
    losses, scores = columns[:middle], columns[middle + 1 :]
    when, label = _times(rows)
    made = figure(10, 3.4)
    left, centre, right = made.subplots(1, 3, width_ratios=(4, 4, 2.4))
    _lines(styled(left, "Losses", label), when, rows, losses)
    _lines(styled(centre, "Scores", label), when, rows, scores)
    _lines(styled(right, "Learning rate", label), when, rows, [c for c in columns if c == "lr"])
    right.ticklabel_format(axis="y", scilimits=(-2, 2))
    for axes in (centre, right):
        axes.set_ylim(bottom=0)
    return made


def _times(rows: Sequence[Row]) -> tuple[list[float], str]:
    """Where each row lies on the x axis, in epochs if that can be told."""
    steps = [_number(row.get("step")) for row in rows]
    epochs = [_number(row.get("epoch")) for row in rows]
    if not all(map(math.isfinite, steps)):
        return (epochs, "epoch") if all(map(math.isfinite, epochs)) else (list(range(len(rows))), "row")
    if not all(map(math.isfinite, epochs)):
        return steps, "step"
    # the last row of a whole epoch tells its length; rows in mid-epoch tell less
    length = max((step / max(epoch, 1) for step, epoch in zip(steps, epochs, strict=True)), default=0)
    return [step / max(length, 1) for step in steps], "epoch"


def _lines(axes: Axes, when: Sequence[float], rows: Sequence[Row], columns: Sequence[str]) -> None:
    handles = []
    for i, column in enumerate(columns):
        points = [(x, _number(row[column])) for x, row in zip(when, rows, strict=True) if row.get(column) not in (None, "")]
        x, y = zip(*points, strict=True) if points else ((), ())
        total = column == "loss"
        line = axes.plot(
            x,
            y,
            color=INK if total or len(columns) == 1 else shade(i),
            linewidth=2 if total else 1.5,
            marker="o" if len(points) <= 15 else None,
            markersize=3.5,
        )
        handles += line
    if len(columns) > 1:
        _legend(axes, handles, columns)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _legend(axes: Axes, handles: Sequence[Any], names: Sequence[str], *, outside: bool = False) -> None:
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if outside else {"loc": "best"}
    legend = axes.legend(handles, ["·"] * len(handles), fontsize=8, frameon=False, labelcolor=INK, **place)
    written(legend.get_texts(), names)


def precision_recall(
    recall: np.ndarray, precision: np.ndarray, names: Sequence[str], *, ap: np.ndarray | None = None
) -> Figure:
    """Precision over recall of each class and their mean: recall (R,), precision (K, R).

    Classes without objects have −1 or nan throughout and are left out. ``ap`` (K,) is written beside the names;
    it defaults to the mean precision. Beyond twenty classes their lines are grey and only the mean is named.
    """
    known = np.isfinite(precision).all(1) & (precision >= 0).all(1)
    ap = np.where(known, np.where(known[:, None], precision, 0).mean(1), np.nan) if ap is None else ap
    made = figure(7.2, 4.6)
    axes = styled(made.subplots(), "Precision and recall", "recall", "precision")
    shown = np.flatnonzero(known)
    many = len(shown) > MANY
    handles, labels = [], []
    for k in shown:
        line = axes.plot(recall, precision[k], color="#c7ccd4" if many else shade(int(k)), linewidth=1 if many else 1.4)
        if not many:
            handles += line
            labels.append(f"{names[k]}  {ap[k]:.3f}")
    if len(shown):
        handles += axes.plot(recall, precision[shown].mean(0), color=INK, linewidth=2.6)
        labels.append(f"all {len(shown)} classes  {np.nanmean(ap[shown]):.3f}")
        _legend(axes, handles, labels, outside=True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return made


def confusion_matrix(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts (K + 1, K + 1): row truth, column found, the last of each the background (found nowhere, nothing there).

    Colours are shares of the row, so that rare classes show; the numbers are counts, left out beyond twenty classes.
    """
    labels = [*names, "background"]
    totals = counts.sum(1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    many = len(names) > MANY
    side = min(3.4 + 0.36 * len(labels), 14)
    made = figure(side + 0.6, side)
    axes = styled(made.subplots(), "Truth and what was found", "found", "truth")
    axes.grid(visible=False)
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.spines[:].set_visible(False)
    ticks = np.arange(len(labels))[:: math.ceil(len(labels) / 60)]
    axes.set_xticks(ticks, [""] * len(ticks), rotation=90)
    axes.set_yticks(ticks, [""] * len(ticks))
    _tick_names(axes, [labels[i] for i in ticks])
    if not many:
        for i, k in np.argwhere(counts > 0):
            colour = "white" if share[i, k] > 0.55 else INK
            axes.text(k, i, f"{int(counts[i, k]):,}", ha="center", va="center", fontsize=7, color=colour)
    bar = made.colorbar(shown, ax=axes, shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # a Spine, which the stubs do not know
    bar.ax.tick_params(labelsize=8, colors=QUIET, length=0)
    bar.set_label("share of the row", fontsize=8, color=QUIET)
    return made


def _tick_names(axes: Axes, names: Sequence[str]) -> None:
    """Class names along both axes, as they are; tick labels are fixed by now, so the texts stay what they are told."""
    for axis in (axes.xaxis, axes.yaxis):
        written(axis.get_ticklabels(), names)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a results.csv as texts, which :func:`training_curves` understands."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
