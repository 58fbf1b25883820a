"""Pictures of tracks: colours by identity, trails, and the charts of one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baimu.draw.charts import save
from baimu.draw.colours import class_colour
from baimu.draw.tracks import draw_tracks, one_pass_curves
from baimu.results import Tracks

GROUND = np.full((120, 200, 3), 200, np.uint8)


def make(ids: list[int]) -> Tracks:
    boxes = np.array([[20 + 80 * i, 40, 70 + 80 * i, 100] for i in range(len(ids))], np.float32)
    scores, labels = np.full(len(ids), 0.9, np.float32), np.zeros(len(ids), np.int64)
    return Tracks(boxes, scores, labels, ("car",), (120, 200), ids=np.array(ids))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


def test_an_identity_has_its_own_colour_in_every_frame() -> None:
    one, other = np.asarray(draw_tracks(GROUND, make([1, 2]))), np.asarray(make([2]).draw(GROUND))
    assert has(one, class_colour(1))
    assert has(one, class_colour(2))
    assert has(other, class_colour(2))
    assert not has(other, class_colour(1))
    assert (GROUND == 200).all()


def test_trails_lie_where_the_object_was() -> None:
    way = [(10.0, 110.0), (60.0, 110.0), (150.0, 110.0)]
    with_trail = np.asarray(draw_tracks(GROUND, make([1]), trails={1: way, 7: way}))
    without = np.asarray(draw_tracks(GROUND, make([1])))
    assert tuple(with_trail[110, 120]) == class_colour(1)
    assert tuple(without[110, 120]) == (200, 200, 200)
    assert not has(with_trail, class_colour(7))


def test_low_scores_and_wrong_sizes() -> None:
    assert (np.asarray(draw_tracks(GROUND, make([1]), min_score=0.95)) == 200).all()
    with pytest.raises(ValueError, match="120 x 200"):
        draw_tracks(GROUND[:50], make([1]))


def test_curves_are_drawn(tmp_path: Path) -> None:
    made = one_pass_curves(
        (np.linspace(0, 1, 21), np.linspace(1, 0, 21)), (np.arange(51), np.linspace(0, 1, 51)), 0.5, 0.4
    )
    assert [axes.get_title(loc="left") for axes in made.axes] == [
        "Success, area 0.500",
        "Precision, 0.400 within 20 pixels",
    ]
    assert save(made, tmp_path / "success.png").stat().st_size > 5000
