"""Readings and labels of texts as results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from baimu.draw.lines import DOUBT, INK, WRONG, draw_reading
from baimu.results import Candidate, Reading, TextLabel


def reading(text: str = "AB 1", size: tuple[int, int] = (20, 60), **changes) -> Reading:
    sure = np.linspace(0.5, 0.99, len(text), dtype=np.float32)
    return Reading(text, 0.75, sure, size, "line.png", alternatives=(Candidate("A8 1", 0.1),), **changes)


def test_as_words_and_as_numbers() -> None:
    found = reading()
    assert str(found) == "AB 1"
    assert found.summary == '"AB 1" 75.0%'
    told = json.loads(json.dumps(found.to_dict()))
    assert (told["text"], told["score"], told["height"], told["width"]) == ("AB 1", 0.75, 20, 60)
    assert told["alternatives"] == [{"text": "A8 1", "score": 0.1}]
    assert len(told["confidences"]) == 4


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="0…1"):
        Reading("a", score, np.ones(1, np.float32), (20, 60))


def test_drawn_under_its_line() -> None:
    line = np.full((20, 60, 3), 255, np.uint8)
    drawn = np.asarray(draw_reading(line, reading(), truth="AB 1"))
    plain = np.asarray(draw_reading(line, reading()))
    assert drawn.shape[0] > plain.shape[0] > 60  # enlarged three times, a row under it, two with the truth
    colours = {tuple(c) for c in plain[60:].reshape(-1, 3).tolist()}
    assert {INK, WRONG, DOUBT} & colours >= {WRONG}
    assert np.array_equal(plain[:60, :180], np.full((60, 180, 3), 255))
    assert reading(image=line).draw().size == (plain.shape[1], plain.shape[0])
    with pytest.raises(ValueError, match=r"the picture is 30 x 60, but the text is of a 20 x 60"):
        draw_reading(np.zeros((30, 60, 3), np.uint8), reading())


def test_a_text_longer_than_its_line_and_one_that_is_empty() -> None:
    line = Image.new("L", (40, 64))
    assert draw_reading(line, reading("A very long text for so short a line", (64, 40))).width > 200
    nothing = Reading("", 0.5, np.zeros(0, np.float32), (64, 40))
    assert draw_reading(line, nothing).height > 64


def test_the_label_of_a_text() -> None:
    found = TextLabel(np.array([0.9, 0.1], np.float32), ("ham", "spam"), (1, 3), "text 0").about("see you soon")
    assert (found.name, found.text) == ("ham", "see you soon")
    assert found.summary == "ham 90.0%, spam 10.0%"
    told = found.to_dict()
    assert set(told) == {"source", "text", "classes"}
    assert told["classes"][0]["name"] == "ham"
