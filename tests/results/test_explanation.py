"""Heat maps: from a network's cells to the pixels of the source, whatever the resize and the crop."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from baimu.preprocess import Frame, Preprocess
from baimu.results import Explanation


def _make(cam: np.ndarray, frame: Frame, cell: tuple[float, float], **changes) -> Explanation:
    values = {"label": 1, "score": 0.75, "names": ("cat", "dog"), "size": frame.source_size, **changes}
    return Explanation(cam.astype(np.float32), cell, frame, **values)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (40, 60), (101, 33)])
def test_heat_is_the_map_interpolated(height, width):
    """torch's bilinear interpolation of the same map to the size of the source."""
    cam = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    frame = Frame((height, width), (64, 96), 96 / width, 64 / height)
    heat = _make(cam, frame, (16.0, 16.0)).heat
    theirs = torch.nn.functional.interpolate(torch.from_numpy(cam)[None, None], (height, width), mode="bilinear")
    np.testing.assert_allclose(heat, theirs[0, 0].numpy(), atol=1e-5)
    assert heat.dtype == np.float32


def test_heat_of_a_scaled_image_lies_at_the_same_place():
    cam = np.random.default_rng(1).random((4, 4))
    found = _make(cam, Frame((80, 80), (64, 64), 0.8, 0.8), (16.0, 16.0))
    twice = found.heat_at(160, 160)
    np.testing.assert_allclose(twice.reshape(80, 2, 80, 2).mean((1, 3)), found.heat, atol=0.01)


def test_what_a_crop_cut_away_is_cold_and_the_rest_in_its_place():
    """A 40 x 80 image, doubled, of which the middle 64 x 64 are seen: source rows 4…36, columns 24…56."""
    frame = Frame((40, 80), (64, 64), 2.0, 2.0, left=-48, top=-8)
    cam = np.zeros((4, 4))
    cam[0, 3] = 1
    heat = _make(cam, frame, (16.0, 16.0)).heat
    assert np.unravel_index(heat.argmax(), heat.shape) == (4, 52)
    rows, columns = np.nonzero(_make(np.ones((4, 4)), frame, (16.0, 16.0)).heat)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 35, 24, 55)


@pytest.mark.parametrize("resize", ["crop", "stretch", "shortest", "letterbox"])
def test_a_spot_is_found_again_whatever_the_resize(resize):
    """The cell that a source pixel falls into is the hottest of the source there."""
    preprocess = Preprocess(resize=resize, size=64, max_size=128, pad_to=16)
    frame = preprocess.frame(150, 210)
    height, width = preprocess.batch_size_of([frame])
    x, y = 120.5 * frame.scale_x + frame.left, 70.5 * frame.scale_y + frame.top
    cam = np.zeros((height // 4, width // 4))
    cam[int(y // 4), int(x // 4)] = 1
    heat = _make(cam, frame, (4.0, 4.0)).heat
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(row - 70) * frame.scale_y <= 4
    assert abs(column - 120) * frame.scale_x <= 4


def test_to_dict_is_json():
    found = _make(np.eye(2), Frame((8, 8), (8, 8), 1.0, 1.0), (4.0, 4.0), source="a.jpg")
    document = json.loads(json.dumps(found.to_dict()))
    assert document["map"] == [[1, 0], [0, 1]]
    assert (document["source"], document["name"], document["score"], document["boxes"]) == ("a.jpg", "dog", 0.75, [])
    assert found.summary == "dog 75.0%"


def test_nothing_has_a_name_too():
    found = _make(np.zeros((2, 2)), Frame((8, 8), (8, 8), 1.0, 1.0), (4.0, 4.0), label=-1, score=0.0)
    assert (found.name, found.heat.max()) == ("nothing", 0)
