"""The charts of embedding: how many images each identity has, how far pairs are apart, ROC, match characteristic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from baimu.draw.charts import INK, QUIET, figure, legend, styled

SAME, OTHER = "#2a9d5c", "#e4572e"
LEAST_RATE = 1e-4  # of false accepts, where the axis begins at the latest


def sizes_of_identities(counts: Mapping[str, np.ndarray]) -> Figure:
    """A panel for each of ``counts`` (K,), by its title: how many identities have how many images."""
    made = figure(5 * len(counts), 3.2)
    panels = made.subplots(1, len(counts), squeeze=False)[0]
    for axes, (title, count) in zip(panels, counts.items(), strict=True):
        styled(
            axes, f"{title}: {int(count.sum()):,} of {len(count):,} identities", "images of an identity", "identities"
        )
        most = int(count.max(initial=1))
        edges = np.linspace(0.5, most + 0.5, min(most, 40) + 1)
        axes.hist(count, bins=edges.tolist(), color="#5b8def")
        axes.grid(visible=False, axis="x")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
    return made


def distance_histogram(similarity: np.ndarray, same: np.ndarray) -> Figure:
    """Euclidean distances of embeddings of length 1 whose cosines are ``similarity`` (P,): pairs of one identity
    (``same``) over pairs of two."""
    distance = np.sqrt((2 - 2 * similarity).clip(0))
    made = figure(6, 3.6)
    axes = styled(
        made.subplots(), "Distances of pairs", "distance (0: alike, 1.41: at right angles)", "share of the pairs"
    )
    edges = np.linspace(0, max(1.6, float(distance.max(initial=0))), 60)
    handles = []
    for kind, colour in ((same, SAME), (~same, OTHER)):
        weights = np.full(int(kind.sum()), 1 / max(int(kind.sum()), 1))
        handles.append(axes.hist(distance[kind], bins=edges.tolist(), weights=weights, color=colour, alpha=0.55)[2])
    legend(axes, handles, ["one identity", "two identities"])
    return made


def roc_curve(false: np.ndarray, true: np.ndarray) -> Figure:
    """True accept rate over the false accept rate (T,), whose axis is logarithmic: what matters lies at its left."""
    made = figure(5.4, 4)
    axes = styled(made.subplots(), "Verification", "false accept rate", "true accept rate")
    smallest = false[false > 0].min(initial=1.0)
    left = max(min(smallest, 0.1), LEAST_RATE)
    axes.step(false.clip(left), true, where="post", color=INK, linewidth=2)
    axes.set_xscale("log")
    axes.set(xlim=(left, 1), ylim=(min(0.5, float(true[false <= left].max(initial=0))), 1.01))
    for rate in (1e-3, 1e-2, 1e-1):
        if rate >= left:
            value = float(true[false <= rate].max(initial=0))
            axes.plot([rate], [value], "o", color=OTHER, markersize=4)
            axes.annotate(f"{value:.3f}", (rate, value), (4, -12), textcoords="offset points", fontsize=8, color=QUIET)
    return made


def match_characteristic(cmc: np.ndarray) -> Figure:
    """The share of queries (R,) with a right answer among the first 1, 2, …."""
    made = figure(5.4, 4)
    axes = styled(made.subplots(), "Search", "answers looked at", "queries with a right one among them")
    axes.plot(np.arange(1, len(cmc) + 1), cmc, color=INK, linewidth=2, marker="o", markersize=3)
    for rank in (1, 5, 10):
        axes.annotate(f"{cmc[rank - 1]:.3f}", (rank, cmc[rank - 1]), (4, -12), textcoords="offset points", fontsize=8)
    low = float(np.nan_to_num(cmc[0]))
    axes.set(xlim=(0.5, len(cmc) + 0.5), ylim=(max(0.0, low - 0.1), 1.01))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    return made
