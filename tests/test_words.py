"""Words and the vocabulary, which travels with the weights."""

from __future__ import annotations

import pickle

import pytest
import torch

from baimu.preprocess import preprocess_from_dict
from baimu.words import FIRST, PADDING, UNKNOWN, TextPreprocess, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't you've it's I'll", "do n't you 've it 's i 'll"),
        ("WON £1000! call 0800-123", "won £ 1000 ! call 0800 - 123"),
        ("'quoted' rock'n'roll", "' quoted ' rock ' n ' roll"),
        ("Ünïcode 中文 😀", "ünïcode 中文 😀"),
        ("", ""),
    ],
)
def test_words(text: str, words: str) -> None:
    assert words_of(text) == words.split()


def test_vocabulary_by_frequency() -> None:
    learned = TextPreprocess.learned(["b a b", "c b a", "d"])
    assert learned.words == ("b", "a", "c", "d")
    assert learned.numbers("a x B") == [FIRST + 1, UNKNOWN, FIRST]
    assert learned.shown("a x B") == ["a", "·", "b"]
    assert learned.size == 6
    assert TextPreprocess.learned(["b a b", "c b a"], least=2).words == ("b", "a")
    assert TextPreprocess.learned(["b a b", "c b a"], least=3, known=["c", "x"]).words == ("b", "c")
    assert TextPreprocess.learned(["b a b", "c b a"], most=1).words == ("b",)


def test_unknown_numbers_by_their_shape() -> None:
    learned = TextPreprocess.learned(["call 0801 now 7", "call 0907 7", "win 12345 b4u"], least=2)
    assert learned.words == ("####", "7", "call")
    assert learned.shown("call 5555 now 7 99") == ["call", "####", "·", "7", "·"]
    assert learned.numbers("4444") == learned.numbers("1234") == [FIRST]
    assert TextPreprocess.learned(["call 12"], least=2, known=["##", "12"]).words == ("12",)
    assert TextPreprocess.learned(["call 12"], least=2, known=["##"]).words == ("##",)


def test_a_text_without_words_is_an_unknown_one_and_a_long_one_is_cut() -> None:
    preprocess = TextPreprocess(words=("a",), max_words=3)
    assert preprocess.numbers("  ") == [UNKNOWN]
    assert preprocess.numbers("a a a a a") == [FIRST] * 3
    assert PADDING not in preprocess.numbers("a b")


def test_it_travels() -> None:
    preprocess = TextPreprocess(words=("free", "call"), max_words=50)
    again = preprocess_from_dict(preprocess.to_dict())
    assert again == preprocess
    assert pickle.loads(pickle.dumps(preprocess)).numbers("call") == [FIRST + 1]
    assert TextPreprocess(max_words=7).like(preprocess).words == ("free", "call")
    assert TextPreprocess(max_words=7).like(preprocess).max_words == 7
    numbers = torch.tensor([[1, 2]])
    assert preprocess.normalize(numbers) is numbers


def test_a_tokenizer_of_hugging_face() -> None:
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"free": 0, "call": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    preprocess = TextPreprocess(tokenizer=made.to_str())
    assert preprocess.size == FIRST + 3
    assert preprocess.numbers("call free now") == [FIRST + 1, FIRST, FIRST + 2]
    assert preprocess.shown("call now") == ["call", "?"]
    assert preprocess_from_dict(preprocess.to_dict()) == preprocess
