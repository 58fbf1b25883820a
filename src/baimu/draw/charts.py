"""What every chart shares: a figure on its own canvas, one look, names written as they are.

Nothing here touches pyplot, so nothing is global: any thread may draw, and no window opens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from baimu.draw.colours import class_colour
from baimu.draw.fonts import face_for, legible

INK, QUIET, RULE = "#22262b", "#6b7280", "#e5e7eb"


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that draws itself without pyplot."""
    made = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(made)
    made.set_layout_engine("constrained", w_pad=0.09, h_pad=0.07)
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
        text.set_text(short(name))
        face = face_for(name)
        if face:
            text.set_fontproperties(FontProperties(fname=face, size=text.get_fontsize()))


def short(name: str) -> str:
    """A class name in one line of at most 32 letters that can be written."""
    name = legible(" ".join(name.split()))
    return name if len(name) <= 32 else name[:31] + "…"


def name_ticks(axis: Axis, places: Sequence[float], names: Sequence[str]) -> None:
    """Class names along an axis. The axis keeps the texts; the look of each is set once here."""
    axis.set_ticks(list(places), [short(name) for name in names])
    written(axis.get_ticklabels(), names)


def shade(label: int) -> str:
    """The class's colour for matplotlib."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(label))


def legend(axes: Axes, handles: Sequence[Any], names: Sequence[str], *, outside: bool = False) -> None:
    """Names beside their lines, in the chart where there is room or at its right."""
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if outside else {"loc": "best"}
    made = axes.legend(handles, ["·"] * len(handles), fontsize=8, frameon=False, labelcolor=INK, **place)
    written(made.get_texts(), names)
