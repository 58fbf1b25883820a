"""Classifications: what they refuse, which classes they tell, and every way out of them."""

from __future__ import annotations

import json
import math

import numpy as np
import PIL.Image
import pytest

from baimu.errors import UnknownNameError
from baimu.results import Classification, Guess

NAMES = ("cat", "dog", "owl", "tit")


def _make(*probabilities: float, **changes) -> Classification:
    values = {"names": NAMES, "size": (32, 48), "source": "photo.jpg", **changes}
    return Classification(np.array(probabilities or (0.1, 0.6, 0.05, 0.25), np.float32), **values)


@pytest.mark.parametrize(
    ("probabilities", "changes", "message"),
    [
        ((0.5, 0.5), {}, r"one for each of 4 names; got \(2,\)"),
        ((), {"names": ()}, "0 names"),
        ((0.5, 0.5, 0, math.nan), {}, r"0…1.*photo\.jpg"),
        ((1.2, -0.2, 0, 0), {}, "0…1"),
        ((0.5, 0.5, 0.5, 0), {}, r"sum to 1, not 1\.5000.*photo\.jpg"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities, changes, message):
    with pytest.raises(ValueError, match=message):
        _make(*probabilities, **changes)


def test_several_labels_need_no_sum():
    assert _make(0.9, 0.8, 0, 0.7, multi_label=True).filter(min_score=0.5)[-1].name == "tit"


def test_the_best_and_the_next():
    found = _make()
    assert (found.label, found.name, found.score) == (1, "dog", pytest.approx(0.6))
    assert found.topk(2) == [Guess(1, "dog", pytest.approx(0.6)), Guess(3, "tit", 0.25)]
    assert [guess.label for guess in found.topk(99)] == [1, 3, 0, 2]
    assert found.topk(0) == []


def test_of_equal_probabilities_the_earlier_class_is_better():
    found = _make(0.25, 0.25, 0.25, 0.25)
    assert found.label == 0
    assert [guess.label for guess in found.topk(4)] == [0, 1, 2, 3]


def test_filter():
    found = _make()
    assert [guess.name for guess in found.filter(min_score=0.1)] == ["dog", "tit", "cat"]
    assert [guess.name for guess in found.filter(classes=["owl", "tit"])] == ["tit", "owl"]
    assert found.filter(classes=[]) == []
    with pytest.raises(UnknownNameError, match="Did you mean owl"):
        found.filter(classes=["owll"])


def test_top_and_min_score_say_what_is_told():
    assert [guess.name for guess in _make(top=2).best] == ["dog", "tit"]
    assert [guess.name for guess in _make(min_score=0.2).best] == ["dog", "tit"]
    assert _make(top=2).summary == "dog 60.0%, tit 25.0%"
    assert _make(min_score=0.9).summary == "nothing"
    assert [row["name"] for row in _make(top=1).to_dict()["classes"]] == ["dog"]


def test_to_dict_is_json():
    document = json.loads(json.dumps(_make().to_dict()))
    assert (document["source"], document["height"], document["width"]) == ("photo.jpg", 32, 48)
    assert document["classes"][0] == {"name": "dog", "label": 1, "score": pytest.approx(0.6)}
    assert len(document["classes"]) == 4


def test_to_pandas():
    table = _make(top=1).to_pandas()
    assert list(table.columns) == ["name", "label", "score", "source"]
    assert table["name"].tolist() == ["dog", "tit", "cat", "owl"], "all of them"


@pytest.mark.parametrize("kept", [True, False])
def test_save_draws_on_the_kept_image_or_reads_it_again(kept, tmp_path):
    pixels = np.full((32, 48, 3), 200, np.uint8)
    found = _make(image=pixels) if kept else _make(read=lambda: pixels)
    drawn = np.asarray(PIL.Image.open(found.save(tmp_path / "a" / "drawn.png", scale=1)))
    assert drawn.shape == (32, 48, 3)
    assert (drawn != 200).any()


def test_draw_without_an_image_asks_for_it():
    with pytest.raises(ValueError, match=r"photo\.jpg.*draw\(image\)"):
        _make().draw()
