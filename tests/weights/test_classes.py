"""Class counts from shapes, names from counts, and rows of heads that move with their class."""

from __future__ import annotations

import torch
from torch import Tensor

from baimu.weights.classes import ClassAxis, assumed_names, class_axes, count_classes, move_rows
from baimu.weights.outline import outline

CATS = ("cat", "dog", "owl")


def test_axes_say_how_many_rows_a_class_has() -> None:
    axes = outline("faster_rcnn_r18_fpn", {}).axes
    assert axes["head.classify.weight"] == ClassAxis(0, 1, 1), "background"
    assert axes["head.regress.bias"] == ClassAxis(0, 4, 0)
    assert outline("retinanet_r18_fpn", {}).axes["head.classify.bias"] == ClassAxis(0, 9, 0)
    assert outline("resnet18", {}).axes["head.linear.weight"] == ClassAxis(0, 1, 0)
    assert class_axes({"a": torch.Size((3, 7))}, {"a": torch.Size((3, 9))}) == {"a": ClassAxis(1, 2, 3)}


def test_the_count_is_what_most_heads_say() -> None:
    axes = {"a": ClassAxis(0, 1, 1), "b": ClassAxis(0, 4, 0), "c": ClassAxis(0, 4, 0)}
    assert count_classes(axes, {"a": torch.empty(6), "b": torch.empty(20)}) == 5
    assert count_classes(axes, {"a": torch.empty(6), "b": torch.empty(24), "c": torch.empty(24)}) == 6
    assert count_classes(axes, {"b": torch.empty(21)}) is None, "not a multiple"
    assert count_classes(axes, {"a": torch.empty(1), "b": torch.empty(())}) is None
    assert count_classes({}, {}) is None


def test_names_of_coco_by_count() -> None:
    eighty = assumed_names(80)
    assert (eighty[0], eighty[79]) == ("person", "toothbrush")
    ids = assumed_names(91)
    assert (ids[0], ids[1], ids[12], ids[13], ids[90]) == ("unused 0", "person", "unused 12", "stop sign", "toothbrush")
    assert assumed_names(90) == ids[1:]
    assert [name for name in ids if not name.startswith("unused")] == list(eighty)
    assert len(set(ids)) == 91, "a name is a class"
    assert assumed_names(3) == ("class 0", "class 1", "class 2")


def rows(anchors: int, classes: int, start: float) -> Tensor:
    return start + torch.arange(float(anchors * classes))


def test_rows_inside_an_anchor_move_by_the_name_of_their_class() -> None:
    """A slow loop over anchors and classes says the same."""
    axes, new = {"head.classify.bias": ClassAxis(0, 2, 0)}, ("owl", "elk", "cat", "ant")
    old_rows, fresh = rows(2, 3, 0), rows(2, 4, 100)
    moved = move_rows({"head.classify.bias": old_rows}, {"head.classify.bias": fresh}, axes, CATS, new)
    for anchor in range(2):
        for i, name in enumerate(new):
            expected = old_rows[anchor * 3 + CATS.index(name)] if name in CATS else fresh[anchor * 4 + i]
            assert moved["head.classify.bias"][anchor * 4 + i] == expected
    assert torch.equal(fresh, rows(2, 4, 100)), "what was given is not changed"


def test_rows_of_a_class_stay_together_and_background_comes_along() -> None:
    axes = {"head.regress.weight": ClassAxis(0, 4, 0), "head.classify.weight": ClassAxis(0, 1, 1)}
    state = {"head.regress.weight": rows(3, 4, 0)[:, None].repeat(1, 2), "head.classify.weight": rows(1, 4, 0)[:, None]}
    fresh = {"head.regress.weight": torch.zeros(8, 2) - 1, "head.classify.weight": torch.zeros(3, 1) - 1}
    moved = move_rows(state, fresh, axes, CATS, ("new", "dog"))
    assert moved["head.regress.weight"][:, 0].tolist() == [-1, -1, -1, -1, 4, 5, 6, 7]
    assert moved["head.classify.weight"][:, 0].tolist() == [-1, 1, 3]


def test_without_a_common_name_all_is_fresh_and_another_methods_parameter_stays() -> None:
    axes = {"head.classify.bias": ClassAxis(0, 1, 1)}
    state, fresh = {"head.classify.bias": torch.ones(4), "x": torch.ones(1)}, {"head.classify.bias": torch.zeros(3)}
    moved = move_rows(state, fresh, axes, CATS, ("a", "b"))
    assert moved["head.classify.bias"].tolist() == [0, 0, 0]
    assert moved["x"] is state["x"]
    other = {"head.classify.bias": torch.zeros(18)}
    assert move_rows(state, other, axes, CATS, ("cat", "b"))["head.classify.bias"] is state["head.classify.bias"]
