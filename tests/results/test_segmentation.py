"""The result of a segmenter: areas, masks, JSON, palette PNG, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.errors import UnknownNameError
from baimu.masks import Masks
from baimu.results import Segmentation

NAMES = ("background", "nerve", "vessel")
LABELS = np.array([[0, 0, 0, 1], [0, 2, 1, 1]], np.uint8)


def result(**changes: object) -> Segmentation:
    return Segmentation(**{"labels": LABELS, "names": NAMES, "size": (2, 4), "source": "a.png", **changes})  # pyright: ignore


def test_areas_are_counted_the_largest_first() -> None:
    confidence = np.array([[255, 255, 0, 51], [255, 102, 51, 51]], np.uint8)
    areas = result(confidence=confidence).areas
    assert [(a.name, a.pixels, a.share) for a in areas] == [
        ("background", 4, 0.5), ("nerve", 3, 0.375), ("vessel", 1, 0.125)
    ]  # fmt: skip
    assert [a.score for a in areas] == pytest.approx([0.75, 0.2, 0.4])
    assert np.isnan(result().areas[0].score)
    assert result().summary == "background 50.0%, nerve 37.5%, vessel 12.5%"


def test_masks_by_name() -> None:
    np.testing.assert_array_equal(result().mask("vessel"), LABELS == 2)
    with pytest.raises(UnknownNameError, match="nerve"):
        result().mask("nerv")


def test_json_holds_every_pixel() -> None:
    document = json.loads(json.dumps(result().to_dict()))
    assert (document["height"], document["width"]) == (2, 4)
    again = np.full((2, 4), 255, np.uint8)
    for row in document["areas"]:
        (mask,) = np.asarray(Masks((row["mask"]["counts"],), (2, 4)))
        again[mask] = row["label"]
        assert row["score"] is None
    np.testing.assert_array_equal(again, LABELS)


def test_maps_are_palette_pictures_whose_values_are_labels(tmp_path: Path) -> None:
    path = result().save_map(tmp_path / "deep" / "map.png")
    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), LABELS)
        colours = np.asarray(picture.convert("RGB"))
    assert colours[0, 0].tolist() == [0, 0, 0], "background is black"
    assert len({tuple(colours[y, x]) for y, x in ((0, 0), (0, 3), (1, 1))}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS.astype(np.int64)}, "labels must be uint8"),
        ({"labels": LABELS[:1]}, r"labels must be uint8 \(2, 4\), got uint8 \(1, 4\)"),
        ({"labels": LABELS + 1}, r"labels must lie in 0…2"),
        ({"confidence": LABELS[:, :2]}, "confidence must be uint8"),
    ],
)
def test_what_does_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        result(**changes)
