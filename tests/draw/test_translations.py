"""Sheets of inputs, outputs and truths."""

from __future__ import annotations

import numpy as np

from baimu.draw.translations import translation_sheet


def flat(value: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_a_row_an_image_and_a_column_a_title() -> None:
    rows = [[flat(10), flat(90), flat(170)], [flat(40), flat(120), flat(200)]]
    page = np.asarray(translation_sheet(rows, ("input", "output", "truth"), notes=["a", "b"], cell=60))
    places = {
        value: np.argwhere((page == value).all(2)).mean(0) for row in rows for value in {int(i[0, 0, 0]) for i in row}
    }
    for low, high in ((10, 90), (90, 170), (40, 120), (120, 200)):
        assert places[low][1] < places[high][1]
        assert abs(places[low][0] - places[high][0]) < 1
    assert places[10][0] < places[40][0]


def test_small_pictures_are_enlarged_pixel_by_pixel_and_large_ones_reduced() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    page = np.asarray(translation_sheet([[image, flat(7, 400, 200)]], ("input", "output"), cell=80))
    colours = {tuple(colour) for colour in image.reshape(-1, 3).tolist()}
    assert sum((page == colour).all(2).sum() >= 400 for colour in colours) == 16
    shown = np.argwhere((page == 7).all(2))
    assert np.ptp(shown, axis=0).tolist() == [79, 39]
