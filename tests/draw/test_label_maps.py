"""Label maps over pictures: veils, borders, undecided pixels, legends."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from baimu.draw.colours import class_colour
from baimu.draw.label_maps import borders, draw_segmentation, overlay, palette, with_legend
from baimu.results import Segmentation

NAMES = ("background", "nerve", "vessel")
GREY = np.full((300, 320, 3), 100, np.uint8)


def labels() -> np.ndarray:
    made = np.zeros((300, 320), np.uint8)
    made[50:150, 60:200] = 1
    made[200:280, 100:150] = 2
    return made


def test_a_veil_has_the_share_of_its_class_and_background_none() -> None:
    drawn = np.asarray(overlay(GREY, labels(), NAMES, opacity=0.5)).astype(int)
    assert (drawn[10:40] == 100).all()
    expected = (100 + np.array(class_colour(1))) / 2
    assert np.abs(drawn[100, 100] - expected).max() <= 1
    assert drawn[50, 100].tolist() == list(class_colour(1)), "its border has the full colour"


def test_a_first_class_that_is_no_background_has_a_veil() -> None:
    drawn = np.asarray(overlay(GREY, labels(), ("road", "car", "sky")))
    assert not (drawn[10:40] == 100).any()


def test_undecided_pixels_are_hatched() -> None:
    map = np.full((300, 320), 255, np.uint8)
    drawn = np.asarray(overlay(GREY, map, NAMES))
    changed = (drawn != 100).any(2).mean()
    assert 0.2 < changed < 0.3


def test_borders_are_on_both_sides() -> None:
    map = np.zeros((3, 4), np.uint8)
    map[:, 2:] = 1
    np.testing.assert_array_equal(borders(map), np.array([[0, 1, 1, 0]] * 3, bool))
    assert not borders(map * 0).any()


def test_a_result_is_drawn_with_its_names_and_small_pictures_larger() -> None:
    found = Segmentation(labels(), NAMES, (300, 320))
    plain = draw_segmentation(GREY, found, show_names=False)
    named = draw_segmentation(GREY, found)
    assert named.size == plain.size == (320, 300)
    assert (np.asarray(named)[:40] == np.asarray(plain)[:40]).all()
    assert (np.asarray(named)[-40:] != np.asarray(plain)[-40:]).any()
    small = Segmentation(labels()[:40, :40], NAMES, (40, 40))
    assert draw_segmentation(GREY[:40, :40], small).size == (240, 240)
    assert found.draw(GREY).size == (320, 300)
    with pytest.raises(ValueError, match=r"the picture is 40 x 40, but the labels are of a 300 x 320"):
        draw_segmentation(GREY[:40, :40], found)


def test_palette_and_legend() -> None:
    colours = palette(NAMES)
    assert colours.shape == (256, 3)
    assert colours[1].tolist() == list(class_colour(1))
    page = with_legend(Image.new("RGB", (200, 50)), [*NAMES, *(f"a long name of class {i}" for i in range(9))])
    assert page.width == 200
    strip = np.asarray(page)[50:].reshape(-1, 3)
    shown = {tuple(pixel) for pixel in strip.tolist()}
    assert {class_colour(k) for k in range(1, 12)} <= shown
    assert class_colour(0) not in shown, "background has no colour"
