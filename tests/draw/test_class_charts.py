"""Charts of a classification: bars and marks where the numbers say, whatever is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from baimu.draw.charts import save
from baimu.draw.class_charts import MANY, class_counts, class_figures, reliability_diagram
from baimu.draw.curves import confusion_matrix

NAMES = ("cat", "dog", "$owl_1$")


def test_a_panel_for_each_count():
    made = class_counts({"train": np.array([5, 0, 3]), "val": np.array([1, 2, 0])}, NAMES)
    left, right = made.axes
    assert [bar.get_width() for bar in left.patches] == [5, 0, 3]
    assert [bar.get_width() for bar in right.patches] == [1, 2, 0]
    assert (left.get_title("left"), right.get_title("left")) == ("train", "val")


def test_bars_and_marks_of_each_class_but_what_is_nan():
    figures = {"F1": np.array([0.5, math.nan, 0.9]), "recall": np.array([0.25, math.nan, 1.0])}
    [axes] = class_figures(NAMES, figures).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.9]
    assert axes.collections[0].get_offsets()[:, 0].tolist() == [0.25, 1.0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "$owl_1$"]


def test_of_many_classes_the_worst_are_shown():
    bars = np.linspace(1, 0, 200)
    [axes] = class_figures([str(i) for i in range(200)], {"F1": bars}).axes
    assert [bar.get_width() for bar in axes.patches] == bars[-MANY:].tolist()
    assert "the 60 worst of 200" in axes.get_title("left")


@pytest.mark.parametrize("empty", [False, True])
def test_reliability_shows_what_came_true_and_the_gap(empty, tmp_path):
    counts = np.array([0, 0, 0] if empty else [0, 10, 30])
    confidence, accuracy = (np.where(counts, values, math.nan) for values in ([0, 0.5, 0.9], [0, 0.6, 0.7]))
    made = reliability_diagram(counts, confidence, accuracy, 0.175)
    above, below = made.axes
    assert [bar.get_height() for bar in above.patches[:3]] == ([0, 0, 0] if empty else [0, 0.6, 0.7])
    gaps = [bar.get_height() for bar in above.patches[3:]]
    assert gaps == pytest.approx([0, 0, 0] if empty else [0, -0.1, 0.2])
    assert [bar.get_height() for bar in below.patches] == counts.tolist()
    assert "0.175" in above.get_title("left")
    assert save(made, tmp_path / "a.png").stat().st_size > 0


def test_a_confusion_matrix_without_background():
    axes = confusion_matrix(np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]]), NAMES).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(NAMES)
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3"]
