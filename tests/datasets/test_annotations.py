"""The flat data set: subsets, joining, what it weighs, and the problems that go along."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from baimu.datasets.annotations import Columns, FileSource, assemble, require_masks, without_masks
from baimu.datasets.flat import ProblemLog, Texts, ranges
from baimu.datasets.outlines import Outlines
from baimu.datasets.playground import Playground
from baimu.errors import DataError


def flat_source(images: int, objects: int) -> FileSource:
    """Random boxes, ``objects`` an image, of files that need not exist."""
    rng = np.random.default_rng(0)
    count = images * objects
    corners = rng.random((count, 2)) * 300
    columns = Columns(
        boxes=np.concatenate([corners, corners + 5 + rng.random((count, 2)) * 90], axis=1),
        labels=rng.integers(0, 3, count),
        crowd=np.zeros(count, bool),
        areas=np.full(count, np.nan),
        ids=np.arange(count),
    )
    log = ProblemLog()
    for i in range(0, images, 100):
        log.add(f"{i}.jpg", f"image {i}", "is odd", "kept", image=i)
    log.add("set", "", "is small", "kept")
    return assemble(
        root="/data",
        classes=("a", "b", "c"),
        category_ids=(1, 2, 3),
        files=[f"train2017/{i:012d}.jpg" for i in range(images)],
        image_ids=list(range(images)),
        sizes=np.full((images, 2), 400),
        images=rng.permutation(np.repeat(np.arange(images), objects)),
        columns=columns,
        record=lambda t: ("set.json", f"annotation {t}"),
        log=log,
    )


def test_objects_come_with_their_image() -> None:
    source = flat_source(50, 4)
    assert [len(source.objects(i)) for i in range(50)] == [4] * 50
    assert sorted(np.concatenate([source.objects(i).ids for i in range(50)]).tolist()) == list(range(200))
    assert source.all_objects().ids.tolist() == np.concatenate([source.objects(i).ids for i in range(50)]).tolist()


def test_select_is_the_same_images_in_the_new_order() -> None:
    source = flat_source(300, 3)
    chosen = [250, 3, 200, 3]
    subset = source.select(chosen)
    nested = subset.select([2, 0])
    for part, indices in ((subset, chosen), (nested, [200, 250])):
        assert [part.name(i) for i in range(len(part))] == [source.name(i) for i in indices]
        assert [part.image_id(i) for i in range(len(part))] == indices
        for i, index in enumerate(indices):
            np.testing.assert_array_equal(part.objects(i).boxes, source.objects(index).boxes)
        assert [p.record for p in part.problems] == ["image 200", ""]
    assert len(source.select([]).problems) == 1
    assert len(source.select(range(300)).problems) == 4


def test_joined_keeps_both() -> None:
    first, second = flat_source(200, 2), flat_source(150, 3).with_classes(("c", "b", "a"), (3, 2, 1))
    both = first.joined(second)
    assert len(both) == 350
    assert both.name(200) == second.name(0)
    np.testing.assert_array_equal(both.objects(205).boxes, second.objects(5).boxes)
    assert both.objects(205).labels.tolist() == [2 - label for label in second.objects(5).labels.tolist()]
    problems = both.select([200, 300]).problems
    assert [p.record for p in problems] == ["", "image 0", "image 100", ""]


def test_nothing_in_it_grows_but_arrays() -> None:
    """Workers share arrays; a Python object an image or a box would be copied into each of them."""

    def leaves(value: object) -> list[object]:
        if isinstance(value, FileSource | Columns | Outlines | Texts) or type(value).__name__ == "Problems":
            return [leaf for part in vars(value).values() for leaf in leaves(part)]
        return [value]

    source = flat_source(2000, 7)
    for leaf in leaves(source):
        assert isinstance(leaf, np.ndarray | str | tuple | None), type(leaf)
        if isinstance(leaf, np.ndarray):
            assert leaf.dtype != object
        if isinstance(leaf, tuple):
            assert len(leaf) == 3  # classes and category ids
    size = len(pickle.dumps(source)) - len(pickle.dumps(flat_source(1, 7)))
    assert size < 2000 * (7 * 60 + 120)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.objects(77).boxes, source.objects(77).boxes)


def test_texts_hold_any_file_name() -> None:
    names = ["", "a b\n.jpg", "百目/é.png", "broken \udcff bytes", "x" * 1000]
    texts = Texts.of(names)
    assert list(texts) == names
    assert list(texts.take(np.array([3, 0]))) == ["broken \udcff bytes", ""]
    assert list(Texts.of([])) == []


def test_problems_read_as_sentences(tmp_path: Path) -> None:
    log = ProblemLog()
    log.add("a.xml", "object 2", "has no area", "annotation skipped", image=0)
    log.add("b.jpg", "", "is missing", "image left out")
    problems = log.problems()
    assert [str(p) for p in problems] == [
        "a.xml, object 2: has no area (annotation skipped)",
        "b.jpg: is missing (image left out)",
    ]
    assert problems[-1].file == "b.jpg"
    assert [p.file for p in problems[:5]] == ["a.xml", "b.jpg"]


def test_ranges() -> None:
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ranges(np.array([], np.int64), np.array([], np.int64)).tolist() == []


def outlined_source(drawn: list[bool]) -> FileSource:
    """One image of 40x40 with an object each, a triangle in a box of 30x30 where drawn."""
    triangle = [np.array([5, 5, 35, 5, 5, 35], np.float32)]
    count = len(drawn)
    columns = Columns(
        boxes=np.tile([[5.0, 5, 35, 35]], (count, 1)),
        labels=np.zeros(count, np.int64),
        crowd=np.zeros(count, bool),
        areas=np.full(count, np.nan),
        ids=np.arange(count),
        outlines=Outlines.of([triangle if d else [] for d in drawn]),
    )
    return assemble(
        root="/data/set",
        classes=("a",),
        category_ids=(1,),
        files=[f"{i}.jpg" for i in range(count)],
        image_ids=list(range(count)),
        sizes=np.full((count, 2), 40),
        images=np.arange(count),
        columns=columns,
        record=lambda t: ("set.json", f"annotation {t}"),
        log=ProblemLog(),
    )


def test_an_object_without_outline_is_its_box_and_that_is_said_once() -> None:
    source = outlined_source([True, False, False])
    assert [source.objects(i).masks.sum() for i in range(3)] == [435, 900, 900]
    assert [str(p) for p in source.problems] == [
        "/data/set: 2 of 3 objects have no outline (their boxes serve as masks)"
    ]
    assert len(outlined_source([True, True]).problems) == 0


def test_a_model_of_masks_asks_for_outlines() -> None:
    require_masks(outlined_source([True, False]))
    require_masks(Playground(2, 32))
    with pytest.raises(DataError, match=r"/data/set: no object has an outline.*segmentation.*SegmentationObject"):
        require_masks(outlined_source([False, False]))
    with pytest.raises(DataError, match="no object has an outline"):
        require_masks(outlined_source([True, False]).select([1]))
    with pytest.raises(DataError, match="masks=True"):
        require_masks(without_masks(outlined_source([True])))


def test_who_needs_no_masks_gets_none_drawn() -> None:
    source = outlined_source([True, False])
    plain = without_masks(source)
    assert plain.objects(0).masks is None
    np.testing.assert_array_equal(plain.objects(0).boxes, source.objects(0).boxes)
    scenes = Playground(2, 32)
    assert without_masks(scenes) is scenes
