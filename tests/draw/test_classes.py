"""Classes on pictures: legible at any size, the bar as long as the probability, whatever the names are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from baimu.draw.classes import TRACK, draw_classes, enlarged, write_rows
from baimu.draw.colours import class_colour
from baimu.results import Classification

NAMES = ("cat", "dog", "owl", "tit", "eel", "ant")


def found(size: tuple[int, int], names=NAMES, **changes) -> Classification:
    p = np.array([0.05, 0.6, 0.2, 0.1, 0.04, 0.01], np.float32)[: len(names)]
    return Classification(p / p.sum(), tuple(names), size, **changes)


def has(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.array(picture) == colour).all(2)


@pytest.mark.parametrize("size", [(28, 28), (64, 64), (480, 640), (1080, 1920), (3000, 200), (12, 9), (20, 3000)])
def test_the_best_class_is_told_at_any_size(size):
    """Its bar is there, in its colour, and white letters above it; below nothing is cut off."""
    picture = draw_classes(np.full((*size, 3), 128, np.uint8), found(size))
    rows, _ = np.nonzero(has(picture, class_colour(1)))
    assert len(rows)
    assert rows.max() < picture.height
    letters = (np.array(picture)[: rows.min()] > 200).all(2)
    assert letters.sum() >= 15
    assert min(picture.size) >= min(240, *size) or max(picture.size) > 1000, "a small one is enlarged"


def test_bars_are_as_long_as_probabilities():
    picture = draw_classes(np.full((300, 400, 3), 128, np.uint8), found((300, 400)))
    for label, p in ((1, 0.6), (2, 0.2), (3, 0.1)):
        bar = has(picture, class_colour(label))
        row = np.nonzero(bar)[0][0]
        whole = bar[row].sum() + has(picture, TRACK)[row].sum()
        assert bar[row].sum() / whole == pytest.approx(p, abs=1 / whole)


def test_only_what_is_worth_telling_is_told():
    picture = draw_classes(np.full((300, 400, 3), 128, np.uint8), found((300, 400), top=2))
    assert has(picture, class_colour(2)).any()
    assert not has(picture, class_colour(3)).any()
    nothing = draw_classes(np.full((300, 400, 3), 128, np.uint8), found((300, 400), min_score=0.9))
    assert (np.array(nothing) == 128).all()


def test_above_the_panel_nothing_changes_and_the_source_never():
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    before = image.copy()
    picture = np.array(draw_classes(image, found((300, 400))))
    np.testing.assert_array_equal(picture[:100], image[:100])
    np.testing.assert_array_equal(image, before)


def test_small_pictures_grow_by_whole_pixels():
    image = np.random.default_rng(0).integers(0, 255, (28, 28, 3)).astype(np.uint8)
    grown = np.array(enlarged(Image.fromarray(image)))
    np.testing.assert_array_equal(grown, image.repeat(9, 0).repeat(9, 1))
    assert enlarged(Image.new("RGB", (640, 480))).size == (640, 480)
    assert draw_classes(image, found((28, 28)), scale=2).size == (56, 56)


@pytest.mark.parametrize("name", ["w" * 400, "百目犬", "a\nb\tc", "", "$x_1$ <b>"])
def test_any_name_stays_in_the_picture(name):
    names = (name, *NAMES[1:])
    picture = draw_classes(np.full((240, 240, 3), 128, np.uint8), found((240, 240), names))
    assert picture.size == (240, 240)


def test_a_name_too_long_leaves_room_for_its_number():
    """At the right of its row stands what stands there beside a short name."""
    rows = [[(name, "60.0%", 0.6, (255, 0, 0)), ("w" * 90, "1%", 0.01, (255, 0, 0))] for name in ("w" * 90, "a")]
    long, short = (np.array(write_rows(Image.new("RGB", (300, 200), "grey"), both)) for both in rows)
    np.testing.assert_array_equal(long[:, -50:], short[:, -50:])
    assert (long != short).any()


def test_another_picture_is_refused():
    with pytest.raises(ValueError, match=r"30 x 40.*300 x 400"):
        draw_classes(np.zeros((30, 40, 3), np.uint8), found((300, 400)))
