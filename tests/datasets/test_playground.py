"""The playground: what is annotated is what is drawn, to the pixel, and every scene is a function of its number."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from baimu.datasets.painting import paint
from baimu.datasets.playground import CLASSES, Playground
from baimu.datasets.scenes import LEAST_VISIBLE, LEAST_VISIBLE_SHARE, Item, Scene, compose, lay_out, rasterise
from baimu.datasets.shapes import SHAPES
from baimu.datasets.source import DetectionSource
from baimu.errors import DataError, UnknownNameError


def plain_item(shape: str, **changes) -> Item:
    item = Item(shape, (0.5, 0.5), 0.2, 0.0, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), "plain", 0.6, 0.0, (0.0, 0.0, 0.0), 0.0)
    return replace(item, **changes)


def plain_scene(*items: Item) -> Scene:
    grey = (0.5, 0.5, 0.5)
    return Scene(items, (grey, grey), "gradient", 0, (0.0, 0.0), 0.0, 0.0)


def test_it_is_a_detection_source():
    source = Playground(3)
    assert isinstance(source, DetectionSource)
    assert len(source) == 3
    assert source.classes == CLASSES
    assert len(CLASSES) >= 10
    assert len(source.category_ids) == len(CLASSES)


def test_a_scene_depends_on_its_number_alone():
    """Not on the order of asking, the count, the process, or the objects of other scenes."""
    forwards, backwards = Playground(6, 64, seed=3), Playground(600, 64, seed=3)
    pictures = [forwards.image(i) for i in range(6)]
    for i in reversed(range(6)):
        assert np.array_equal(backwards.image(i), pictures[i])
    elsewhere = pickle.loads(pickle.dumps(forwards))
    assert np.array_equal(elsewhere.image(4), pictures[4])
    assert np.array_equal(elsewhere.objects(4).masks, backwards.objects(4).masks)
    assert not np.array_equal(Playground(6, 64, seed=4).image(4), pictures[4])


def test_first_and_select_choose_scenes_and_keep_their_names():
    source = Playground(20, 48)
    later = Playground(5, 48, first=10)
    assert np.array_equal(later.image(2), source.image(12))
    assert later.image_id(2) == source.image_id(12) == 12
    chosen = source.select([12, 3]).select([1, 0])
    assert [chosen.image_id(i) for i in range(len(chosen))] == [3, 12]
    assert chosen.name(1) == source.name(12)
    assert np.array_equal(chosen.objects(1).boxes, source.objects(12).boxes)


def test_pickles_stay_tiny_after_drawing():
    source = Playground(100_000)
    source.image(5)
    assert len(pickle.dumps(source)) < 2000


@pytest.mark.parametrize("size", [16, 64, (96, 160), (161, 87)])
def test_boxes_masks_areas_and_semantic_map_agree(size):
    source = Playground(40, size, seed=1)
    for i in range(len(source)):
        objects, semantic, image = source.objects(i), source.semantic(i), source.image(i)
        assert image.shape == (*source.size(i), 3)
        assert image.dtype == np.uint8
        assert objects.masks.shape == (len(objects), *source.size(i))
        expected = np.zeros(source.size(i), np.uint8)
        for box, label, area, mask in zip(objects.boxes, objects.labels, objects.areas, objects.masks, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert area == len(rows) >= LEAST_VISIBLE
            assert not expected[mask].any(), "masks must not share a pixel"
            expected[mask] = label + 1
        assert np.array_equal(semantic, expected)


def test_masks_are_the_painted_pixels():
    """Flat red things on grey, no light, noise or blur: red where the masks say so, edge pixels by their majority."""
    items = [
        plain_item(shape, centre=(0.17 + 0.3 * (n % 3), 0.15 + 0.23 * (n // 3)), radius=0.09)
        for n, shape in enumerate(SHAPES)
    ]
    layout = lay_out(plain_scene(*items), 200, 200)
    assert len(layout.placed) == len(SHAPES)
    picture = paint(plain_scene(*items), layout).astype(int)
    redness = picture[:, :, 0] - picture[:, :, 2]
    owned = layout.owner >= 0
    eye = np.zeros_like(owned)  # the fish's eye is white and black, and still fish
    fish = next(p for p in layout.placed if p.item.shape == "fish")
    eye[fish.top : fish.top + fish.u.shape[0], fish.left : fish.left + fish.u.shape[1]] = (
        np.hypot(fish.u - 0.6, fish.v + 0.12) < 0.25
    )
    assert (redness[owned & ~eye] > 90).all()
    assert (redness[~owned] < 150).all()
    solid = np.zeros_like(owned)  # not beside an edge
    solid[1:-1, 1:-1] = owned[1:-1, 1:-1] & owned[:-2, 1:-1] & owned[2:, 1:-1] & owned[1:-1, :-2] & owned[1:-1, 2:]
    assert (redness[solid & ~eye] > 190).mean() > 0.97


def test_front_items_hide_those_behind():
    behind = plain_item("square", radius=0.3)
    front = plain_item("square", centre=(0.65, 0.5), radius=0.2)
    layout = lay_out(plain_scene(behind, front), 100, 100)
    assert [p.index for p in layout.placed] == [0, 1]
    assert layout.owner[50, 65] == 1
    assert layout.owner[50, 40] == 0
    lone = lay_out(plain_scene(front), 100, 100)
    assert np.array_equal(layout.owner == 1, lone.owner == 0)


def test_what_is_almost_hidden_leaves_picture_and_annotation():
    hidden = plain_item("disc", radius=0.1)
    cover = plain_item("square", radius=0.3, colour=(0.0, 1.0, 0.0))
    layout = lay_out(plain_scene(hidden, cover), 100, 100)
    assert [p.item.shape for p in layout.placed] == ["square"]
    alone = plain_scene(cover)
    assert np.array_equal(paint(plain_scene(hidden, cover), layout), paint(alone, lay_out(alone, 100, 100)))


def test_a_hidden_item_hides_nothing_itself():
    """Front to back: the middle one is covered and leaves, so it must not count against the one behind it."""
    back = plain_item("disc", centre=(0.56, 0.5), radius=0.06)
    middle = plain_item("disc", radius=0.1)
    front = plain_item("square", centre=(0.43, 0.5), radius=0.17)
    assert [p.index for p in lay_out(plain_scene(back, middle), 400, 400).placed] == [1], "the middle would hide it"
    layout = lay_out(plain_scene(back, middle, front), 400, 400)
    assert [p.index for p in layout.placed] == [0, 2]
    whole = np.count_nonzero(layout.placed[0].distance < 0)
    assert LEAST_VISIBLE_SHARE * whole <= np.count_nonzero(layout.owner == 0) < 0.5 * whole


def test_items_outside_the_picture_are_left_out():
    outside = plain_item("disc", centre=(-0.4, 0.5), radius=0.2)
    mostly_outside = plain_item("disc", centre=(-0.15, 0.5), radius=0.2)
    layout = lay_out(plain_scene(outside, mostly_outside), 100, 100)
    assert layout.placed == []
    assert (layout.owner == -1).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.5])
def test_every_shape_fits_its_unit_and_is_one_that_can_be_seen(shape, angle):
    placed = rasterise(plain_item(shape, angle=angle, radius=0.25), 0, 200, 200)
    inside = np.hypot(placed.u, placed.v)[placed.distance < 0]
    assert 0.9 < inside.max() < 1.21  # a square's corner reaches further than its sides
    assert placed.distance.dtype == np.float32
    share = len(inside) / 100**2
    assert 0.15 < share < 0.85
    edge = np.concatenate([placed.distance[[0, -1]].ravel(), placed.distance[:, [0, -1]].ravel()])
    assert (edge > 1).all(), "the window cuts the shape"


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_true_along_the_edge(shape):
    """Stepping over the edge changes a signed distance by one a pixel: that is what makes the soft edge right."""
    distance = rasterise(plain_item(shape, radius=0.4, angle=0.3), 0, 250, 250).distance
    down, across = np.gradient(distance)
    near = np.abs(distance) < 1
    assert np.median(np.abs(np.hypot(down, across)[near] - 1)) < 0.03


def test_one_description_is_the_same_scene_at_any_size():
    small, large = Playground(12, 80, seed=2), Playground(12, 240, seed=2)
    for i in range(12):
        assert small.scene(i) == large.scene(i)
    both = [(small.objects(i), large.objects(i)) for i in range(12)]
    pairs = [(a.boxes, b.boxes) for a, b in both if np.array_equal(a.ids, b.ids)]
    assert len(pairs) >= 8  # where nothing is at the edge of being too small to see
    assert max(np.abs(a * 3 - b).max(initial=0) for a, b in pairs) < 8


def test_a_scene_can_move():
    """Tracks to come: the same items, other centres; the picture moves by as much."""
    scene = plain_scene(plain_item("star", shadow=0.4, outline=0.1))
    there = replace(scene, items=(replace(scene.items[0], centre=(0.6, 0.45)),))
    before, after = lay_out(scene, 100, 100).owner, lay_out(there, 100, 100).owner
    assert np.array_equal(np.roll(before, (-5, 10), (0, 1)), after)


def test_the_mixture_of_scenes():
    """Empty scenes, all classes, small and large things, and some that are partly hidden."""
    source = Playground(400)
    counts, labels, longest, hidden = [], [], [], 0
    for i in range(len(source)):
        objects = source.objects(i)
        counts.append(len(objects))
        labels.extend(objects.labels)
        longest.extend((objects.boxes[:, 2:] - objects.boxes[:, :2]).max(1, initial=0))
        for placed, area in zip(source._laid_out(i)[2].placed, objects.areas, strict=True):
            hidden += area < 0.9 * np.count_nonzero(placed.distance < 0)
    assert 0.01 < counts.count(0) / len(counts) < 0.08
    assert max(counts) == 6
    shares = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    assert shares.min() > 0.5 / len(CLASSES)
    assert min(longest) >= 6  # a key of 8 pixels, cut or hidden in part
    assert np.mean(np.array(longest) >= 16) > 0.8
    assert 0.03 < hidden / len(labels) < 0.3


def test_annotation_ids_are_unique_and_keep_the_items_identity():
    source = Playground(60, 64, objects=(0, 9))
    ids = np.concatenate([source.objects(i).ids for i in range(60)])
    assert len(set(ids.tolist())) == len(ids)
    assert ids.min() > 0


def test_options_choose_classes_and_counts():
    source = Playground(30, 64, classes=("star", "disc"), objects=(2, 2), empty=0.0)
    assert source.classes == ("star", "disc")
    found = {(source.scene(i).items[n].shape) for i in range(30) for n in range(2)}
    assert found == {"star", "disc"}
    for i in range(30):
        assert len(source.scene(i).items) == 2
        assert set(source.objects(i).labels) <= {0, 1}
    empty = Playground(5, 32, empty=1.0)
    objects = empty.objects(3)
    assert objects.boxes.shape == (0, 4)
    assert objects.masks.shape == (0, 32, 32)
    assert not empty.semantic(3).any()


def test_a_changed_picture_does_not_change_the_next_one():
    source = Playground(3, 48)
    source.image(1)[:] = 0
    source.objects(1).masks[:] = False
    assert source.image(1).any()
    assert np.array_equal(source.objects(1).masks, Playground(3, 48).objects(1).masks)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"count": -1}, "count"),
        ({"count": 1, "size": 8}, "size"),
        ({"count": 1, "seed": -1}, "seed"),
        ({"count": 1, "first": -1}, "first"),
        ({"count": 1, "classes": ()}, "classes"),
        ({"count": 1, "classes": ("disc", "disc")}, "once"),
        ({"count": 1, "objects": (3, 2)}, "least"),
        ({"count": 1, "empty": 1.5}, "empty"),
    ],
)
def test_bad_values_are_named(arguments, word):
    with pytest.raises(DataError, match=word):
        Playground(**arguments)


def test_unknown_class_offers_the_nearest_and_bad_index_is_an_index_error():
    with pytest.raises(UnknownNameError, match="star"):
        Playground(1, classes=("stars",))
    with pytest.raises(IndexError):
        Playground(2).image(2)


def test_a_wide_scene_uses_its_width():
    """Centres of a 1 : 3 picture lie in all three thirds."""
    centres = [o.centre[0] for n in range(40) for o in compose(np.random.default_rng(n), (1.0, 3.0)).items]
    assert np.histogram(centres, 3, (0, 3))[0].min() > len(centres) / 6


def test_scenes_are_drawn_fast():
    """Far below the 300 a second that an idle core does, so that a busy one passes; a tenfold loss would not."""
    source = Playground(80)
    source.image(0)
    start = time.process_time()
    for i in range(80):
        source.image(i)
        source.objects(i)
    assert 80 / (time.process_time() - start) > 75
