"""Heat over pictures: cold places keep their pixels, the hottest changes most."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.draw.colours import class_colour
from baimu.draw.heat import draw_explanation
from baimu.preprocess import Frame
from baimu.results import Explanation


def found(size: tuple[int, int], **changes) -> Explanation:
    """Hot at the upper left cell of four by four."""
    cam = np.zeros((4, 4), np.float32)
    cam[0, 0] = 1
    frame = Frame(size, size, 1.0, 1.0)
    return Explanation(cam, (size[0] / 4, size[1] / 4), frame, 0, 0.5, ("cat",), size, **changes)


def test_cold_stays_and_warm_is_coloured():
    image = np.full((400, 400, 3), 100, np.uint8)
    picture = np.array(draw_explanation(image, found((400, 400)), show_names=False))
    assert (picture[250:] == 100).all()
    assert (image == 100).all()
    red, _, blue = picture[20, 20].astype(int)
    assert red > 150 > blue
    change = np.abs(picture.astype(int) - 100).sum(2)
    assert change[20, 20] > change[90, 90] > change[140, 140] > 0


def test_opacity_and_the_class():
    image = np.full((400, 400, 3), 100, np.uint8)
    assert (np.array(draw_explanation(image, found((400, 400)), opacity=0, show_names=False)) == 100).all()
    assert (np.array(draw_explanation(image, found((400, 400)), opacity=0)) != 100).any()


def test_small_pictures_grow_and_boxes_with_them():
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    picture = draw_explanation(np.full((30, 30, 3), 90, np.uint8), found((30, 30), boxes=boxes), show_names=False)
    assert picture.size == (240, 240)
    rows, columns = np.nonzero((np.array(picture) == class_colour(0)).all(2))
    assert (rows.min(), columns.min()) == (pytest.approx(80, abs=2), pytest.approx(80, abs=2))
    assert (rows.max(), columns.max()) == (pytest.approx(160, abs=2), pytest.approx(160, abs=2))


def test_another_picture_is_refused():
    with pytest.raises(ValueError, match=r"30 x 40.*300 x 400"):
        draw_explanation(np.zeros((30, 40, 3), np.uint8), found((300, 400)))
