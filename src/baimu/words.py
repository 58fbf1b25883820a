"""How a text becomes network input: words, their numbers, and the vocabulary, which travels with the weights."""

from __future__ import annotations

import functools
import importlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

PADDING, UNKNOWN = 0, 1
"""Numbers that stand for no word, and for one that the vocabulary lacks; words begin with :data:`FIRST`."""
FIRST = 2

_WORD = re.compile(r"n't\b|'(?:s|ve|re|d|ll|m)\b|\w+?(?=n't\b)|\w+|[^\w\s]")

_DIGIT = re.compile(r"\d")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters: runs of letters and digits, English endings (``n't``, ``'s``, …) and
    every other sign alone. So Kim's ``clean_str`` parts them; here letters are of all languages, and no sign is lost.
    """
    return _WORD.findall(text.lower())


def shape_of(word: str) -> str:
    """``#`` for each digit, as the vocabulary of word2vec's published vectors writes numbers: what an unknown number, a
    date or a price still tells."""
    return _DIGIT.sub("#", word)


@dataclass(frozen=True)
class TextPreprocess:
    """From texts to numbers of words, and the vocabulary by which they are numbered.

    ``words``: the vocabulary, number ``i + 2`` for ``words[i]``; 0 is padding, 1 any other word. A word with digits
    that is not there is looked for by its shape (:func:`shape_of`). ``tokenizer``:
    instead, a tokenizer of Hugging Face's library as JSON text, whose numbers are taken, plus 2 (the extra ``text``).
    ``max_words``: of a longer text the end is cut off.
    """

    words: tuple[str, ...] = ()
    tokenizer: str = ""
    max_words: int = 1000

    @classmethod
    def learned(
        cls, texts: Iterable[str], *, least: int = 1, most: int | None = None, known: Iterable[str] = ()
    ) -> TextPreprocess:
        """The vocabulary of ``texts``: words that occur ``least`` times, or are ``known`` and occur, and likewise the
        shapes of the others (:func:`shape_of`); of these the ``most`` frequent, which come first."""
        counts, known = Counter(word for text in texts for word in words_of(text)), set(known)
        kept = Counter({word: count for word, count in counts.items() if count >= least or word in known})
        shapes: Counter[str] = Counter()
        for word, count in counts.items():
            if word not in kept and shape_of(word) != word:
                shapes[shape_of(word)] += count
        kept.update({shape: count for shape, count in shapes.items() if count >= least or shape in known})
        return cls(words=tuple(sorted(kept, key=lambda word: (-kept[word], word))[:most]))

    @functools.cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=FIRST)}

    def _known(self, word: str) -> str:
        """The word, or its shape where the vocabulary lacks it."""
        return word if word in self._number else shape_of(word)

    @property
    def size(self) -> int:
        """Numbers that occur: those of words, of padding and of the unknown."""
        return FIRST + (_tokenizer(self.tokenizer).get_vocab_size() if self.tokenizer else len(self.words))

    def numbers(self, text: str) -> list[int]:
        """Those of the words of a text; one unknown word where it has none."""
        if self.tokenizer:
            found = [FIRST + i for i in _tokenizer(self.tokenizer).encode(text).ids]
        else:
            found = [self._number.get(self._known(word), UNKNOWN) for word in words_of(text)]
        return found[: self.max_words] or [UNKNOWN]

    def shown(self, text: str) -> list[str]:
        """The words as the network sees them, ``·`` for an unknown one."""
        if self.tokenizer:
            return list(_tokenizer(self.tokenizer).encode(text).tokens[: self.max_words])
        known = map(self._known, words_of(text)[: self.max_words])
        return [word if word in self._number else "·" for word in known]

    def normalize(self, inputs: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Numbers (B, T) as they are: what there is to do was done by :meth:`numbers`."""
        del sizes
        return inputs

    def like(self, other: TextPreprocess) -> TextPreprocess:
        """With the vocabulary of ``other``, to which its embedding belongs."""
        return replace(self, words=other.words, tokenizer=other.tokenizer)

    def replace(self, **changes: Any) -> TextPreprocess:
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "text", "words": list(self.words), "tokenizer": self.tokenizer, "max_words": self.max_words}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TextPreprocess:
        """Inverse of :meth:`to_dict`."""
        return cls(**{**values, "words": tuple(values["words"])})


@functools.lru_cache(maxsize=8)
def _tokenizer(text: str) -> Any:
    """Raises ``ImportError`` with the mend where the library is not installed."""
    try:
        library = importlib.import_module("tokenizers")
    except ImportError:
        raise ImportError("this model's tokenizer needs: pip install 'baimu[text]'", name="tokenizers") from None
    return library.Tokenizer.from_str(text)
