"""Embeddings and matches as results: what they refuse, tell and draw."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.results import Embedding, Match, Matches


def grey(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def test_an_embedding_has_length_1() -> None:
    one, other = (Embedding(np.array(v, np.float32), (20, 30), source="a.jpg") for v in ((0.6, 0.8), (1.0, 0.0)))
    assert one.similarity(other) == pytest.approx(0.6)
    assert one.summary.startswith("2 numbers: 0.60 0.80")
    assert one.to_dict() == {"source": "a.jpg", "height": 20, "width": 30, "embedding": pytest.approx([0.6, 0.8])}
    for wrong in ((0.6, 0.9), (np.nan, 1.0)):
        with pytest.raises(ValueError, match="of length 1"):
            Embedding(np.array(wrong, np.float32), (20, 30))
    with pytest.raises(ValueError, match="must be"):
        Embedding(np.eye(2, dtype=np.float32), (20, 30))


def test_an_embedding_is_drawn_under_its_picture() -> None:
    found = Embedding(np.array([0.6, -0.8], np.float32), (20, 30), image=grey(90))
    picture = np.asarray(found.draw())
    assert picture.shape == (28, 30, 3)
    assert (picture[:20] == 90).all()
    red, _, blue = picture[24, 4].astype(int)
    assert red > blue, "the positive number"
    red, _, blue = picture[24, 25].astype(int)
    assert blue > red, "the negative one"


def test_matches_fall_and_are_drawn_in_a_row() -> None:
    answers = tuple(Match(f"{i}.jpg", f"p{i}", s, lambda i=i: grey(40 * i)) for i, s in enumerate((0.9, 0.5, -0.1)))
    found = Matches(answers, (20, 30), source="q.jpg", image=grey(250))
    assert len(found) == 3
    assert found.summary == "p0 0.90, p1 0.50, p2 -0.10"
    assert found.to_dict()["matches"][1] == {"source": "1.jpg", "name": "p1", "similarity": 0.5}
    picture = found.draw(cell=60)
    assert picture.width > 4 * 60
    assert Matches((), (20, 30)).summary == "nothing"
    with pytest.raises(ValueError, match="most similar first"):
        Matches(answers[::-1], (20, 30))
