"""Lexicon and language model: what they allow, that probabilities are ones, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.errors import DataError
from baimu.text.grammar import END, LanguageModel, Lexicon, read_lines

CLASSES = tuple("abc ")


def allows(lexicon: Lexicon, text: str) -> bool:
    state = lexicon.start
    for letter in text:
        step = lexicon.step(state, CLASSES.index(letter))
        if step is None:
            return False
        state = step[0]
    return lexicon.end(state) is not None


def test_a_lexicon_is_its_words_and_spaces_between() -> None:
    lexicon = Lexicon(["ab", "abc", "c", "aé"], CLASSES)
    assert lexicon.unreadable == 1
    for text in ("ab", "abc", "c", "ab c", "c abc ab"):
        assert allows(lexicon, text)
    for text in ("", "a", "abcc", "ab ", " ab", "ab  c", "b"):
        assert not allows(lexicon, text)
    assert not allows(Lexicon(["ab"], CLASSES[:3]), "abab")


def test_a_lexicon_without_a_readable_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no word"):
        Lexicon(["é"], CLASSES)
    with pytest.raises(DataError, match=r"gone\.txt: cannot be read"):
        read_lines(tmp_path / "gone.txt")
    (tmp_path / "words.txt").write_text("ab\n\n c \n", encoding="utf-8")
    assert allows(Lexicon(read_lines(tmp_path / "words.txt"), CLASSES), "ab c")


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_sum_to_one(order: int) -> None:
    model = LanguageModel(["abc", "ab ab", "cab", "zzz"], CLASSES, order=order)
    for context in [(), (0,), (0, 1), (3, 3), (2, 0, 1), (1, 1, 1, 1)]:
        assert sum(model.probability(context, label) for label in (0, 1, 2, 3, END)) == pytest.approx(1)


def test_a_language_model_knows_what_follows() -> None:
    model = LanguageModel(["ab"] * 9 + ["ac"], CLASSES, order=3)
    # After a: b 9 of 10, of two kinds; of all 30 characters and ends b is 9, of four kinds; five are possible.
    assert model.probability((0,), 1) == pytest.approx(9 / 12 + 2 / 12 * (9 / 34 + 4 / 34 / 5))
    assert model.probability((0,), 1) > model.probability((0,), 2) > model.probability((0,), 3) > 0
    assert model.probability((0, 1), END) > 0.9
    state, _ = model.step((), 0)
    assert model.step(state, 1)[1] > model.step(state, 2)[1]
    with pytest.raises(ValueError, match="at least 1"):
        LanguageModel([], CLASSES, order=0)
