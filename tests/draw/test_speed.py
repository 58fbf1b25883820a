"""The picture of speed: names that do not overlap, inside the frame, and a line through what nothing beats."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from baimu.draw.speed import Point, front, speed_chart

POINTS = [
    Point(speed * (1 + 0.02 * i), 0.5 - 0.001 * j, runtime, precision, f"batch {batch}")
    for i, runtime in enumerate(("eager", "onnx", "openvino", "torchscript"))
    for j, (precision, speed) in enumerate((("fp32", 10.0), ("int8", 30.0)))
    for batch in (1, 8)
]


def labels(points: list[Point], *, more_is_better: bool = True) -> list[tuple[str, Bbox]]:
    made = speed_chart(points, "speed", "score", more_is_better=more_is_better)
    made.draw_without_rendering()
    renderer = made.canvas.get_renderer()  # pyright: ignore[reportAttributeAccessIssue]
    (axes,) = made.axes
    frame = axes.get_window_extent(renderer)
    found = []
    for text in axes.texts:
        assert isinstance(text, Annotation)
        box = Text.get_window_extent(text, renderer)
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        found.append((text.get_text(), box))
    return found


def test_names_do_not_overlap_each_other() -> None:
    found = labels(POINTS)
    assert len(found) >= 8
    for (_, one), (_, other) in combinations(found, 2):
        assert not one.overlaps(other)


def test_each_point_with_room_has_its_name() -> None:
    points = [
        Point(10.0 ** (i + 1), 0.1 * i, "onnx", precision) for i, precision in enumerate(("fp32", "bf16", "int8"))
    ]
    assert {name for name, _ in labels(points)} == {"onnx fp32", "onnx bf16", "onnx int8"}


def test_one_point_is_a_picture_too() -> None:
    assert [name for name, _ in labels([Point(3.0, 0.0, "eager", "fp32")])] == ["eager fp32"]


@pytest.mark.parametrize(("more_is_better", "expected"), [(True, [1, 3]), (False, [3])])
def test_the_front_is_what_no_other_beats(more_is_better: bool, expected: list[float]) -> None:
    points = [Point(1, 0.9, "a", ""), Point(2, 0.3, "b", ""), Point(3, 0.2, "c", ""), Point(3, 0.5, "d", "")]
    points[1] = points[1]._replace(value=0.4)
    assert [point.speed for point in front(points, more_is_better=more_is_better)] == expected


def test_of_two_equal_points_one_is_on_the_front() -> None:
    assert len(front([Point(1, 0.5, "a", ""), Point(1, 0.5, "b", "")], more_is_better=True)) == 1
