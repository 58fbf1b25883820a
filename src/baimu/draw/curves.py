"""The charts of a run: losses and scores, precision and recall, confusions, and what the data consists of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from baimu.draw.charts import INK, QUIET, figure, legend, name_ticks, shade, styled

PLACES = ("epoch", "step", "seconds")  # columns of results.csv that say when, not what
MANY = 20  # classes: beyond, they cannot be told apart by colour, nor their numbers be read

Row = Mapping[str, Any]


@runtime_checkable
class Labelled(Protocol):
    """What :func:`label_statistics` asks of a data set: class names, a length, and the objects of each image."""

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def objects(self, index: int) -> Any: ...


HEADLINES = 3
"""Scores in the training curves: a protocol names its headline figures first."""


def training_curves(rows: Sequence[Row]) -> Figure:
    """Losses, scores and learning rate over the epochs, from the rows of results.csv (dicts, or texts of a csv reader).

    By the order of the columns: what stands before ``lr`` is a loss, what follows it a score, of which the first
    :data:`HEADLINES` are drawn. Empty cells, which most rows have for scores, are passed over. A value that is not
    finite leaves a gap.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in PLACES))
    middle = columns.index("lr") if "lr" in columns else len(columns)
    losses, scores = columns[:middle], columns[middle + 1 :][:HEADLINES]
    when, label = _times(rows)
    made = figure(10, 3.4)
    left, centre, right = made.subplots(1, 3, width_ratios=(4, 4, 2.4))
    _lines(styled(left, "Losses", label), when, rows, losses)
    _lines(styled(centre, "Scores", label), when, rows, scores)
    _lines(styled(right, "Learning rate", label), when, rows, [c for c in columns if c == "lr"])
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
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
        points = [
            (x, _number(row[column])) for x, row in zip(when, rows, strict=True) if row.get(column) not in (None, "")
        ]
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
        legend(axes, handles, columns)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def precision_recall(
    recall: np.ndarray, precision: np.ndarray, names: Sequence[str], *, ap: np.ndarray | None = None
) -> Figure:
    """Precision over recall of each class and their mean: recall (R,), precision (K, R).

    Classes without objects have −1 or nan throughout and are left out. ``ap`` (K,) is written beside the names;
    it defaults to the mean precision. Beyond twenty classes their lines are grey and only the mean is named.
    """
    worst = precision.min(1, initial=1.0)  # nan where any is
    shown = [k for k in range(len(names)) if worst[k] >= 0]
    class_ap = precision.mean(1) if ap is None else ap
    made = figure(7.2, 4.6)
    axes = styled(made.subplots(), "Precision and recall", "recall", "precision")
    many = len(shown) > MANY
    handles, labels = [], []
    for k in shown:
        line = axes.plot(recall, precision[k], color="#c7ccd4" if many else shade(k), linewidth=1 if many else 1.4)
        if not many:
            handles += line
            labels.append(f"{names[k]}  {class_ap[k]:.3f}")
    if len(shown):
        handles += axes.plot(recall, precision[shown].mean(0), color=INK, linewidth=2.6)
        labels.append(f"all {len(shown)} classes  {np.nanmean(class_ap[shown]):.3f}")
        legend(axes, handles, labels, outside=True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return made


def confusion_matrix(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts (K, K): row truth, column found. Where there is one more, it is the background (found nowhere, nothing
    there).

    Colours are shares of the row, so that rare classes show; the numbers are counts, left out beyond twenty classes.
    """
    labels = [*names, "background"][: len(counts)]
    totals = counts.sum(1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    many = len(names) > MANY
    side = min(3.4 + 0.36 * len(labels), 14)
    made = figure(side + 0.6, side)
    axes = styled(made.subplots(), "Truth and what was found", "found", "truth")
    axes.grid(visible=False)
    shown = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.spines[:].set_visible(False)
    ticks = [*range(0, len(names), math.ceil(len(labels) / 60)), *range(len(names), len(labels))]
    for axis in (axes.xaxis, axes.yaxis):
        name_ticks(axis, ticks, [labels[i] for i in ticks])
    axes.tick_params(axis="x", rotation=90)
    if not many:
        for i, k in np.argwhere(counts > 0):
            colour = "white" if share[i, k] > 0.55 else INK
            axes.text(k, i, f"{int(counts[i, k]):,}", ha="center", va="center", fontsize=7, color=colour)
    bar = made.colorbar(shown, ax=axes, shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]  # a Spine, which the stubs do not know
    bar.ax.tick_params(labelsize=8, colors=QUIET, length=0)
    bar.set_label("share of the row", fontsize=8, color=QUIET)
    return made


def label_statistics(source: Labelled, *, limit: int = 5000) -> Figure:
    """Objects per class, box sizes and objects per image of a data set, crowd not counted.

    Of more than ``limit`` images, that many are read, evenly spread over the set, and the title says so.
    """
    chosen = np.linspace(0, len(source) - 1, min(limit, len(source))).round().astype(int)
    all_labels, all_boxes = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.float32)]
    for i in chosen:
        objects = source.objects(int(i))
        all_labels.append(objects.labels[~objects.crowd])
        all_boxes.append(objects.boxes[~objects.crowd])
    labels, boxes = np.concatenate(all_labels), np.concatenate(all_boxes)
    made = figure(11, min(max(3.6, 1.2 + 0.2 * len(source.classes)), 14))
    left, centre, right = made.subplots(1, 3, width_ratios=(1.2, 1, 1))
    class_bars(left, np.bincount(labels, minlength=len(source.classes)), source.classes, "Objects per class", "objects")
    _box_sizes(centre, boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    per_image = np.bincount([len(found) for found in all_labels[1:]], minlength=1)
    styled(right, "Objects per image", "objects", "images")
    right.bar(np.arange(len(per_image)), per_image, width=0.8 if len(per_image) < 40 else 1.0, color="#5b8def")
    right.grid(visible=False, axis="x")
    right.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    right.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    part = f"{len(chosen):,} of " if len(chosen) < len(source) else ""
    made.suptitle(f"{part}{len(source):,} images, {len(labels):,} objects", x=0.01, ha="left", fontsize=9, color=QUIET)
    return made


def class_bars(axes: Axes, counts: np.ndarray, names: Sequence[str], title: str, things: str) -> None:
    """A bar a class in label order, its count behind it; of more than 60 classes only the most frequent ones."""
    most = np.sort(np.argsort(-counts, kind="stable")[:60])
    cut = f" (the {len(most)} most frequent of {len(names)})" if len(most) < len(names) else ""
    styled(axes, f"{title}{cut}", things)
    places = list(range(len(most)))
    axes.barh(places, counts[most], color=[shade(int(k)) for k in most], height=0.72)
    for place, count in zip(places, counts[most], strict=True):
        axes.annotate(
            f"{count:,}", (count, place), (3, 0), textcoords="offset points", va="center", fontsize=7, color=QUIET
        )
    name_ticks(axes.yaxis, places, [names[int(k)] for k in most])
    axes.set_ylim(len(most) - 0.4, -0.6)
    axes.set_xlim(0, max(counts.max(initial=0), 1) * 1.14)  # room for the counts
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=False, axis="y")


def _box_sizes(axes: Axes, widths: np.ndarray, heights: np.ndarray) -> None:
    """Heights over widths, both logarithmic, darker where there are more; a square box lies on the diagonal."""
    styled(axes, "Box sizes", "width, pixels", "height, pixels")
    real = (widths > 0) & (heights > 0)
    if real.any():
        widths, heights = widths[real], heights[real]
        low, high = min(widths.min(), heights.min()) / 1.2, max(widths.max(), heights.max()) * 1.2
        left, right = math.log10(low), math.log10(high)
        axes.plot((low, high), (low, high), color="#9ca3af", linewidth=0.8, linestyle=":")
        axes.hexbin(
            widths,
            heights,
            xscale="log",
            yscale="log",
            gridsize=32,
            mincnt=1,
            bins="log",
            cmap="GnBu",
            extent=(left, right, left, right),
            edgecolors="none",
        )
        axes.set(xlim=(low, high), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_locator(NullLocator())
