"""Boxes on pictures: the right pixels in the right colour, at any size, whatever the boxes and names are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from baimu.draw.boxes import as_picture, draw_detections, draw_objects
from baimu.draw.colours import class_colour, luminance, text_on
from baimu.draw.fonts import dejavu, font, legible
from baimu.masks import Masks
from baimu.results import Detections

NAMES = ("cat", "dog")
GREY = np.full((60, 80, 3), 128, np.uint8)


def found(boxes, scores=None, *, size=(60, 80), masks=None, names=NAMES) -> Detections:
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(boxes)) if scores is None else np.asarray(scores)
    labels = np.arange(len(boxes)) % len(names)
    return Detections(boxes, scores.astype(np.float32), labels.astype(np.int64), names, size, masks=masks)


def test_a_box_is_drawn_along_its_pixels_and_nothing_else_changes():
    picture = np.array(draw_objects(GREY, np.array([[10, 20, 50, 40]]), np.array([0]), NAMES, show_names=False))
    expected = GREY.copy()
    expected[20:40, 10:50] = class_colour(0)
    expected[21:39, 11:49] = 128
    assert np.array_equal(picture, expected)


def test_the_source_is_not_changed_and_size_is_kept():
    image = GREY.copy()
    picture = draw_detections(image, found([[10, 20, 50, 40]]))
    assert picture.size == (80, 60)
    assert picture.mode == "RGB"
    assert (image == 128).all()


def test_zero_detections_are_the_picture_itself():
    assert np.array_equal(np.array(draw_detections(GREY, found([]))), GREY)


def test_min_score_hides_the_weak():
    detections = found([[10, 20, 30, 40], [50, 20, 70, 40]], [0.8, 0.2])
    both = np.array(draw_detections(GREY, detections, show_names=False))
    strong = np.array(draw_detections(GREY, detections, min_score=0.5, show_names=False))
    assert both[30, 50].tolist() == list(class_colour(1))
    assert (strong[:, 40:] == 128).all()
    assert (strong[:, :40] == both[:, :40]).all()


def test_the_best_score_lies_on_top():
    boxes = np.array([[10, 10, 40, 40], [10, 10, 40, 40]])
    picture = np.array(draw_objects(GREY, boxes, np.array([0, 1]), NAMES, np.array([0.9, 0.4]), show_names=False))
    assert picture[20, 10].tolist() == list(class_colour(0))


def test_scale_enlarges_by_whole_pixels_and_boxes_follow():
    box = np.array([[5.0, 5.0, 10.0, 10.0]])
    picture = np.array(draw_objects(GREY[:16, :16], box, np.array([0]), NAMES, scale=4, show_names=False))
    assert picture.shape == (64, 64, 3)
    rows, columns = np.nonzero((picture != 128).any(2))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (20, 40, 20, 40)


@pytest.mark.parametrize("shape", [(64, 64), (1080, 1920), (3000, 200), (12, 9)])
def test_plates_stay_inside_and_grow_with_the_picture(shape):
    """The plate's colour shows in the picture's corner even when the box leaves the picture there."""
    height, width = shape
    image = np.full((*shape, 3), 128, np.uint8)
    box = np.array([[width * 0.98, -5.0, width + 50.0, height * 0.2]])
    picture = np.array(draw_objects(image, box, np.array([1]), NAMES, np.array([0.5])))
    plate = (picture == class_colour(1)).all(2)
    assert plate[: max(2, height // 10), -1].any()
    side = (height * width) ** 0.5
    assert plate.sum() > side / 45 * side / 45


@settings(max_examples=30)
@given(
    boxes=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), max_size=5),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    name=st.text(max_size=12),
)
def test_no_box_and_no_name_can_break_it(boxes, size, name):
    """One-pixel, inverted, far outside; any unicode, line ends, control characters."""
    image = np.zeros((*size, 3), np.uint8)
    labels = np.zeros(len(boxes), np.int64)
    picture = draw_objects(image, np.array(boxes).reshape(-1, 4), labels, (name,), np.full(len(boxes), 0.5))
    assert picture.size == (size[1], size[0])


def test_a_one_pixel_box_is_seen():
    picture = np.array(draw_objects(GREY, np.array([[10, 20, 11, 21]]), np.array([0]), NAMES, show_names=False))
    assert picture[20, 10].tolist() == list(class_colour(0))
    assert (picture != 128).any(2).sum() == 1


def test_what_lies_outside_gets_no_plate():
    outside = np.array([[-40, -40, -10, -10], [200, 10, 220, 30]])
    assert (np.array(draw_objects(GREY, outside, np.array([0, 1]), NAMES)) == 128).all()


def test_plates_of_near_boxes_do_not_cover_each_other():
    boxes = np.array([[40, 60, 90, 100], [42, 61, 92, 101], [44, 62, 94, 102]])
    image = np.full((200, 200, 3), 128, np.uint8)
    names = ("one", "two", "three")
    together = np.array(draw_objects(image, boxes, np.arange(3), names, np.array([0.9, 0.8, 0.7]), line_width=1))
    for i in range(3):
        alone = (
            np.array(draw_objects(image, boxes[i : i + 1], np.array([i]), names, np.array([0.9 - i / 10]))) != 128
        ).any(2)
        plate_area = alone.sum() - 2 * (50 + 40) + 4
        shown = (together == class_colour(i)).all(2).sum()
        assert shown > 0.5 * plate_area


def test_masks_tint_their_pixels_only():
    mask = np.zeros((1, 60, 80), bool)
    mask[0, 25:35, 20:30] = True
    picture = np.array(
        draw_objects(GREY, np.array([[20, 25, 30, 35]]), np.array([0]), NAMES, masks=mask, show_names=False)
    )
    inside = picture[28, 25].astype(float)
    assert np.abs(inside - (0.55 * 128 + 0.45 * np.array(class_colour(0)))).max() <= 1
    assert (picture[50:] == 128).all()


def test_edges_lie_above_all_veils():
    """Two discs that overlap, the better one on top: its veil covers the other's inside, not the other's edge."""
    y, x = np.ogrid[:60, :80]
    masks = np.stack([(y - 30) ** 2 + (x - centre) ** 2 < 20**2 for centre in (30, 50)])
    boxes = np.array([[10, 10, 50, 50], [30, 10, 70, 50]])
    packed, dense = (
        np.array(
            draw_objects(GREY, boxes, np.array([0, 1]), NAMES, np.array([0.5, 0.9]), m, show_names=False, line_width=1)
        )
        for m in (Masks.of(masks), masks)
    )
    np.testing.assert_array_equal(packed, dense)
    assert tuple(packed[30, 49]) == class_colour(0)  # the first disc's right end, inside the second
    assert tuple(packed[30, 31]) == class_colour(1)
    assert tuple(packed[30, 40]) not in (class_colour(0), class_colour(1), (128, 128, 128))
    assert (packed[55:] == 128).all()


def test_the_edge_grows_with_the_picture_and_empty_masks_leave_no_trace():
    def edge_pixels(side: int) -> int:
        mask = np.zeros((1, side, side), bool)
        mask[0, side // 4 : side // 2, side // 4 : side // 2] = True
        picture = np.full((side, side, 3), 128, np.uint8)
        drawn = np.array(draw_objects(picture, np.zeros((1, 4)), np.array([0]), NAMES, masks=mask, show_names=False))
        return int((drawn[side // 3, side // 4 - 2 : side // 3] == class_colour(0)).all(1).sum())

    widths = [edge_pixels(side) for side in (64, 600, 2400)]
    assert widths[0] == 1
    assert widths[0] < widths[1] < widths[2]
    empty = draw_objects(
        GREY, np.array([[90, 70, 95, 75]]), np.array([0]), NAMES, masks=np.zeros((1, 60, 80), bool), show_names=False
    )
    assert (np.array(empty) == 128).all()


def test_masks_of_another_size_and_boxes_of_another_picture_are_refused():
    with pytest.raises(ValueError, match="masks are"):
        draw_objects(GREY, np.array([[0, 0, 5, 5]]), np.array([0]), NAMES, masks=np.zeros((1, 5, 5), bool))
    with pytest.raises(ValueError, match="60 x 80"):
        draw_detections(GREY, found([], size=(61, 80)))
    with pytest.raises(ValueError, match="finite"):
        draw_objects(GREY, np.array([[0, 0, np.nan, 5]]), np.array([0]), NAMES)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_any_pil_mode_becomes_rgb(mode):
    picture = draw_objects(Image.new(mode, (30, 20)), np.array([[2, 2, 9, 9]]), np.array([0]), NAMES)
    assert picture.mode == "RGB"
    assert picture.size == (30, 20)


def test_arrays_become_pictures_or_a_clear_error():
    assert as_picture(np.zeros((4, 5), np.uint8)).size == (5, 4)
    assert as_picture(np.zeros((4, 5, 1), np.uint8)).mode == "RGB"
    clear = np.zeros((4, 5, 4), np.uint8)
    assert as_picture(clear).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(ValueError, match="uint8"):
        as_picture(np.zeros((4, 5, 3), np.float32))
    with pytest.raises(ValueError, match="uint8"):
        as_picture(np.zeros((3, 4, 5), np.uint8))


def test_class_colours_are_distinct_stable_and_readable():
    colours = np.array([class_colour(k) for k in range(80)], float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 1000 * np.eye(80)
    assert distances.min() > 6
    assert distances[:12, :12].min() > 35
    assert class_colour(0) == (246, 109, 101)  # a stored picture's legend must stay true
    for k in range(80):
        one, other = sorted((luminance(class_colour(k)), luminance(text_on(class_colour(k)))))
        assert (other + 0.05) / (one + 0.05) > 4.5  # WCAG AA


def test_the_font_ships_with_matplotlib_and_lacking_letters_become_boxes():
    assert dejavu().is_file()
    assert font(12).getlength("baimu") > 20
    assert legible("naïve Ωж_1") == "naïve Ωж_1"
    assert legible("a\U000f0000b") == "a□b"


def test_detections_draw_and_save(tmp_path):
    """The methods of the result itself lead here."""
    detections = found([[10, 20, 50, 40]])
    drawn = detections.draw(GREY, min_score=0.1, line_width=2)
    assert np.array_equal(np.array(drawn), np.array(draw_detections(GREY, detections, line_width=2)))
