"""Charts and sheets of embedding: what stands in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from baimu.draw.charts import save
from baimu.draw.identity_charts import distance_histogram, match_characteristic, roc_curve, sizes_of_identities
from baimu.draw.matches import ASKED, PLAIN, RIGHT, WRONG, Neighbour, match_sheet
from baimu.metrics.verification import Verification


def heights(axes: Any) -> float:
    return sum(bar.get_height() for bar in axes.patches)


def test_charts_are_drawn(tmp_path) -> None:
    rng = np.random.default_rng(0)
    same = np.arange(400) % 2 == 0
    given = Verification((rng.normal(0, 0.2, 400) + 0.5 * same).clip(-1, 1), same, np.arange(400) // 40)
    charts = {
        "sizes": sizes_of_identities({"To learn from": np.array([3, 5, 5]), "Held out": np.array([4, 4])}),
        "distances": distance_histogram(given.similarity, given.same),
        "roc": roc_curve(*given.roc),
        "cmc": match_characteristic(np.linspace(0.6, 1, 50)),
    }
    for name, chart in charts.items():
        assert save(chart, tmp_path / f"{name}.png").stat().st_size > 2000
    left, right = charts["sizes"].axes
    assert "13 of 3 identities" in left.get_title(loc="left")
    assert heights(left) == 3
    assert heights(right) == 2
    shares = [sum(bar.get_height() for bar in group) for group in charts["distances"].axes[0].containers]
    assert np.allclose(shares, 1)


def test_nothing_to_verify_is_drawn_too(tmp_path) -> None:
    empty = np.zeros(0)
    save(distance_histogram(empty, empty.astype(bool)), tmp_path / "d.png")
    save(roc_curve(np.array([np.nan]), np.array([np.nan])), tmp_path / "r.png")
    save(match_characteristic(np.full(50, np.nan)), tmp_path / "c.png")


def test_answers_are_framed_by_what_they_are() -> None:
    picture = Image.new("RGB", (40, 40), (9, 9, 9))
    rows = [
        (picture, "ann", [Neighbour(picture, "0.9", True), Neighbour(picture, "0.8", False)]),
        (picture, "bob", [Neighbour(picture, "0.7")]),
    ]
    page = np.asarray(match_sheet(rows))
    colours = {tuple(colour) for colour in page.reshape(-1, 3).tolist()}
    assert {RIGHT, WRONG, PLAIN, ASKED} <= colours
    frame = 4 * 48**2 - 4 * 40**2  # pixels of four frames' area
    assert (page == np.array(ASKED)).all(-1).sum() >= frame / 2
