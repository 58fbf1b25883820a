"""Classes in trained parameters: their names, how many a head has, and moving rows to a head of other classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Size, Tensor

from baimu.weights.keys import State

CLASS_INSIDE = r"\.classify\."
"""Where several rows belong to a class: a dense head's ``classify`` has (anchor, class), all others (class, row)."""


MAPS = {21: "voc_maps", 19: "cityscapes_maps"}
"""Names of a segmenter's classes by their count."""


class ClassAxis(NamedTuple):
    """``size(dim) = step * K + rest`` of a parameter; the ``rest`` rows, those of background, come last."""

    dim: int
    step: int
    rest: int

    def size(self, count: int) -> int:
        return self.step * count + self.rest


def class_axes(two: Mapping[str, Size], three: Mapping[str, Size]) -> dict[str, ClassAxis]:
    """The parameters that depend on the class count, from the shapes of a network with two classes and with three."""
    axes = {}
    for key, shape in two.items():
        for dim, (small, large) in enumerate(zip(shape, three[key], strict=True)):
            if small != large:
                axes[key] = ClassAxis(dim, large - small, small - 2 * (large - small))
    return axes


def count_classes(axes: Mapping[str, ClassAxis], state: Mapping[str, Tensor]) -> int | None:
    """The class count that most heads of ``state`` agree on, ``None`` if it has none."""
    votes = []
    for key, axis in axes.items():
        if key in state and state[key].dim() > axis.dim:
            count, left = divmod(state[key].shape[axis.dim] - axis.rest, axis.step)
            if count > 0 and not left:
                votes.append(count)
    return max(set(votes), key=lambda count: (votes.count(count), count)) if votes else None


def assumed_names(count: int, task: str = "detection") -> tuple[str, ...]:
    """COCO's names for the class counts that are COCO's: 80; 90 and 91, by category id from 1 or 0. ImageNet's for a
    classifier of 1000; of a segmenter VOC's with background for 21, Cityscapes' for 19. Else numbers."""
    from baimu.weights.catalog import class_names

    usual = {80: "coco", 90: "coco_1_90", 91: "coco_0_90"}
    usual = {"classification": {1000: "imagenet"}, "semantic_segmentation": MAPS}.get(task, usual)
    return class_names(usual[count]) if count in usual else tuple(f"class {i}" for i in range(count))


def move_rows(
    state: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    axes: Mapping[str, ClassAxis],
    old: Sequence[str],
    new: Sequence[str],
) -> State:
    """``state``, trained for the classes ``old``, with the rows of its heads in the order ``new``.

    Rows of classes that ``old`` does not name are those of ``fresh``, as are heads without any class in common; the
    background's rows come along.
    """
    pairs = [(old.index(name), i) for i, name in enumerate(new) if name in old]
    moved = dict(state)
    for key, axis in ((key, axis) for key, axis in axes.items() if key in state):
        expected = Size(axis.size(len(new)) if d == axis.dim else n for d, n in enumerate(state[key].shape))
        if key not in fresh or fresh[key].shape != expected:  # another method's, that has only the name in common
            continue
        moved[key] = fresh[key].clone()
        if not pairs:
            continue
        source, target = state[key].movedim(axis.dim, 0), moved[key].movedim(axis.dim, 0)
        inside = axis.step > 1 and re.search(CLASS_INSIDE, key) is not None
        rows = [_row(a, j, axis.step, len(old), inside) for a, _ in pairs for j in range(axis.step)]
        places = [_row(b, j, axis.step, len(new), inside) for _, b in pairs for j in range(axis.step)]
        target[places] = source[rows].to(target.dtype)
        if axis.rest:
            target[-axis.rest :] = source[-axis.rest :]
    return moved


def _row(label: int, part: int, parts: int, labels: int, inside: bool) -> int:
    """Where part ``part`` of a class lies: inside the part, or the part inside the class."""
    return part * labels + label if inside else label * parts + part
