"""The charts of a classification: how many images each class has, how well it is told, what probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from baimu.draw.charts import INK, QUIET, figure, legend, name_ticks, shade, styled
from baimu.draw.curves import class_bars

MANY = 60  # classes: beyond, only those of the lowest figure are shown


def class_counts(counts: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """A panel for each of ``counts`` (K,), by its title: how many images have each class."""
    made = figure(5.5 * len(counts), min(max(3.2, 1.2 + 0.2 * len(names)), 14))
    panels = made.subplots(1, len(counts), squeeze=False)[0]
    for axes, (title, count) in zip(panels, counts.items(), strict=True):
        class_bars(axes, count, names, title, "images")
    return made


def class_figures(names: Sequence[str], figures: Mapping[str, np.ndarray]) -> Figure:
    """``figures`` (K,) in 0…1 of each class: the first as a bar, the others as marks; nan is left out.

    Of more than 60 classes those are shown whose bar is the shortest.
    """
    title, bars = next(iter(figures.items()))
    known = np.flatnonzero(~np.isnan(bars))
    shown = np.sort(known[np.argsort(bars[known], kind="stable")][:MANY])
    cut = f", the {len(shown)} worst of {len(known)}" if len(shown) < len(known) else ""
    made = figure(7.2, min(max(2.6, 1.2 + 0.2 * len(shown)), 14))
    axes = styled(made.subplots(), f"By class{cut}", "share")
    places = np.arange(len(shown))
    handles: list[Any] = [axes.barh(places, bars[shown], color=[shade(int(k)) for k in shown], height=0.72, alpha=0.75)]
    for mark, values in zip("|x+", list(figures.values())[1:], strict=False):
        handles.append(axes.scatter(values[shown], places, marker=mark, color=INK, s=36, linewidths=1.4, zorder=3))
    name_ticks(axes.yaxis, places.tolist(), [names[int(k)] for k in shown])
    axes.set(xlim=(0, 1.01), ylim=(len(shown) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    if len(shown):
        legend(axes, handles, [title, *list(figures)[1:]], outside=True)
    return made


def reliability_diagram(counts: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray, ece: float) -> Figure:
    """What was promised and what came true, by bins (M,) of equal width over 0…1 (1706.04599 Fig. 1), and how many
    answers each holds; an empty one is nan in the other two."""
    edges = np.linspace(0, 1, len(counts) + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, 0.92 / len(counts)
    made = figure(5, 5.2)
    above, below = made.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    styled(above, f"Reliability, expected calibration error {ece:.3f}", "", "share that came true")
    bars = above.bar(middle, np.nan_to_num(accuracy), width=width, color="#5b8def")
    gaps = above.bar(
        middle,
        np.nan_to_num(confidence - accuracy),
        width=width,
        bottom=np.nan_to_num(accuracy),
        color="#e4572e",
        alpha=0.3,
    )
    above.plot((0, 1), (0, 1), color=QUIET, linewidth=1, linestyle=":")
    above.set(xlim=(0, 1), ylim=(0, 1))
    legend(above, [bars, gaps], ["came true", "gap to what was promised"])
    styled(below, "", "probability", "answers")
    below.bar(middle, counts, width=width, color="#9ca3af")
    below.grid(visible=False, axis="x")
    return made
