"""Speed against accuracy, or against memory: what there is to choose from, and which choices no other beats in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from baimu.draw.charts import INK, QUIET, figure, shade, styled, written

MARKERS = "osD^vP*X"
"""One a precision, in the order in which they come."""
FRONT = "#9ca3af"
REACHES = (9, 16, 26, 40, 58)
"""Distances of a label from its point that are tried, in points of type, the nearest first."""
MANY = 16
"""Points, beyond which only the best and the fastest of each runtime and precision are named."""
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


class Point(NamedTuple):
    """One way to run a model."""

    speed: float  # images a second
    value: float
    runtime: str
    precision: str
    setting: str = ""  # what else it differs in: batch size, threads


def speed_chart(points: Sequence[Point], title: str, y: str, *, more_is_better: bool) -> Figure:
    """A colour a runtime, a marker a precision, a name at each point that has room for it, and a line through those
    that no other is better than in speed and value. Names do not overlap; of a point without one the legend tells."""
    made = figure(9.5, 5.4)
    axes = styled(made.subplots(), title, "images a second, without reading (logarithmic)", y)
    runtimes = list(dict.fromkeys(point.runtime for point in points))
    precisions = list(dict.fromkeys(point.precision for point in points))
    best = front(points, more_is_better=more_is_better)
    if len(best) > 1:
        axes.plot([p.speed for p in best], [p.value for p in best], color=FRONT, linewidth=1.2, zorder=1)
    for point in points:
        axes.plot(
            [point.speed],
            [point.value],
            color=shade(runtimes.index(point.runtime)),
            marker=MARKERS[precisions.index(point.precision) % len(MARKERS)],
            markersize=8 if point in best else 6,
            markeredgecolor=INK if point in best else "white",
            markeredgewidth=0.9,
            linestyle="none",
            zorder=3 if point in best else 2,
        )
    _scales(axes, points)
    _legend(axes, runtimes, precisions, line=len(best) > 1)
    _labels(made, axes, _named(points, best), points)
    return made


def front(points: Iterable[Point], *, more_is_better: bool) -> list[Point]:
    """The points that no other is as good as in one and better than in the other, from slow to fast."""
    kept: list[Point] = []
    best = None
    for point in sorted(points, key=lambda p: (-p.speed, -p.value if more_is_better else p.value)):
        value = point.value if more_is_better else -point.value
        if best is None or value > best:
            kept.append(point)
            best = value
    return kept[::-1]


def _named(points: Sequence[Point], best: Sequence[Point]) -> list[Point]:
    """The points that get a name, the most interesting first."""
    fastest: dict[tuple[str, str], Point] = {}
    for point in sorted(points, key=lambda point: point.speed):
        fastest[point.runtime, point.precision] = point
    rest = [] if len(points) > MANY else points
    return list(dict.fromkeys([*best, *fastest.values(), *rest]))


def _scales(axes: Axes, points: Sequence[Point]) -> None:
    """Logarithmic speed with plain numbers, and room for names at all sides."""
    axes.set_xscale("log")
    speeds, values = [p.speed for p in points if p.speed > 0] or [1.0], [p.value for p in points] or [0.0]
    wide = max((max(speeds) / min(speeds)) ** 0.18, 1.25)
    axes.set_xlim(min(speeds) / wide, max(speeds) * wide)
    margin = 0.15 * (max(values) - min(values)) or 0.05 * abs(max(values)) or 0.05
    axes.set_ylim(min(values) - margin, max(values) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(axes: Axes, runtimes: Sequence[str], precisions: Sequence[str], *, line: bool) -> None:
    def handle(**look: Any) -> Line2D:
        return Line2D([], [], **{"linestyle": "none", "markersize": 6, "marker": "o", **look})

    handles = [handle(color=shade(i)) for i in range(len(runtimes))]
    handles += [handle(color=QUIET, marker=MARKERS[i % len(MARKERS)]) for i in range(len(precisions))]
    names = [*runtimes, *precisions]
    if line:
        handles.append(handle(color=FRONT, marker="", linestyle="-"))
        names.append("none is better in both")
    made = axes.legend(
        handles, names, fontsize=8, frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    written(made.get_texts(), names)


def _labels(made: Figure, axes: Axes, named: Sequence[Point], points: Sequence[Point]) -> None:
    """Names beside their points, the first of them first, in the nearest place where no other name nor point is; a thin
    line leads to those further away."""
    made.draw_without_rendering()  # only now it is known what lies where
    renderer: Any = made.canvas.get_renderer()  # pyright: ignore[reportAttributeAccessIssue]  # Agg's, of figure()
    dot, frame = 5 * made.dpi / 72, axes.get_window_extent(renderer)
    places = [axes.transData.transform((point.speed, point.value)) for point in points]
    taken = [Bbox.from_extents(x - dot, y - dot, x + dot, y + dot) for x, y in places]
    for point in named:
        name = f"{point.runtime} {point.precision}" + (f", {point.setting}" if point.setting else "")
        for reach, (dx, dy) in product(REACHES, DIRECTIONS):
            label = axes.annotate(
                name,
                (point.speed, point.value),
                (dx * reach, dy * reach),
                textcoords="offset points",
                ha={1: "left", 0: "center", -1: "right"}[dx],
                va={1: "bottom", 0: "center", -1: "top"}[dy],
                fontsize=7,
                color=INK,
                arrowprops={"arrowstyle": "-", "color": FRONT, "linewidth": 0.5} if reach > REACHES[0] else None,
                zorder=4,
            )
            label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
            label.set_in_layout(False)
            label.update_positions(renderer)
            box = Text.get_window_extent(label, renderer)  # of the words, without the line that leads to them
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()
