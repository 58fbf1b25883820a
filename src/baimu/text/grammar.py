"""What helps a reader to guess right: the words that may occur, and which characters follow which.

Both are :class:`~baimu.text.decoding.Grammar`, for the prefix beam search.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baimu.errors import DataError

END = -1
"""The label that stands for the end of a text."""


class Lexicon:
    """Texts are words of a list, with a space between two where ``classes`` have one: a trie over their labels.

    Words with characters that ``classes`` lack can never be read; :attr:`unreadable` counts them.
    """

    def __init__(self, words: Iterable[str], classes: Sequence[str]) -> None:
        number = {name: label for label, name in enumerate(classes)}
        self.between = number.get(" ")
        self.children: list[dict[int, int]] = [{}]  # of each node, by label
        self.is_word = [False]
        self.unreadable = 0
        for word in filter(None, map(str.strip, words)):
            if not all(letter in number for letter in word):
                self.unreadable += 1
                continue
            node = 0
            for label in (number[letter] for letter in word):
                if label not in self.children[node]:
                    self.children[node][label] = len(self.children)
                    self.children.append({})
                    self.is_word.append(False)
                node = self.children[node][label]
            self.is_word[node] = True
        if len(self.children) == 1:
            raise DataError("the lexicon has no word that consists of the characters which the model reads")
        self.start: Hashable = 0

    def step(self, state: int, label: int) -> tuple[int, float] | None:
        node = self.children[state].get(label)
        if node is None and label == self.between and self.is_word[state]:
            node = 0
        return None if node is None else (node, 0.0)

    def end(self, state: int) -> float | None:
        return 0.0 if self.is_word[state] else None


class LanguageModel:
    """How probable each character is after the ``order − 1`` before it, learned from texts.

    A text adds ``weight · log p(text)`` and ``bonus`` for each character to its score: without a bonus short texts win.
    Counts are interpolated with those of shorter contexts (Witten & Bell, 1991), and in the end with an even chance of
    everything; characters that ``classes`` lack are left out of the texts.
    """

    def __init__(
        self, texts: Iterable[str], classes: Sequence[str], *, order: int = 5, weight: float = 0.5, bonus: float = 0.5
    ) -> None:
        if order < 1:
            raise ValueError(f"order, the characters that are looked at together, must be at least 1, got {order}")
        number = {name: label for label, name in enumerate(classes)}
        self.order, self.weight, self.bonus, self.size = order, weight, bonus, len(classes) + 1
        self.counts: Mapping[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for text in texts:
            labels = [*(number[letter] for letter in text if letter in number), END]
            for place, label in enumerate(labels):
                for length in range(min(order - 1, place) + 1):
                    self.counts[tuple(labels[place - length : place])][label] += 1
        self.counts = dict(self.counts)
        self.start: Hashable = ()

    def probability(self, context: tuple[int, ...], label: int) -> float:
        """Of ``label`` (:data:`END` for the end of the text) after the labels ``context``, of which the last count."""
        share, p = 1.0, 0.0
        for length in range(min(self.order - 1, len(context)), -1, -1):
            counts = self.counts.get(context[len(context) - length :])
            if counts:
                total, kinds = counts.total(), len(counts)
                p += share * counts[label] / (total + kinds)
                share *= kinds / (total + kinds)
        return p + share / self.size

    def step(self, state: tuple[int, ...], label: int) -> tuple[tuple[int, ...], float]:
        gain = self.weight * math.log(self.probability(state, label)) + self.bonus
        return ((*state, label)[-(self.order - 1) :] if self.order > 1 else ()), gain

    def end(self, state: tuple[int, ...]) -> float:
        return self.weight * math.log(self.probability(state, END))


class Together:
    """Several grammars at once: what one forbids is forbidden, what they say is added."""

    def __init__(self, *grammars: Any) -> None:
        self.grammars = grammars
        self.start: Hashable = tuple(grammar.start for grammar in grammars)

    def step(self, state: tuple[Any, ...], label: int) -> tuple[tuple[Any, ...], float] | None:
        steps = []
        for grammar, own in zip(self.grammars, state, strict=True):
            step = grammar.step(own, label)
            if step is None:
                return None
            steps.append(step)
        return tuple(new for new, _ in steps), sum(gain for _, gain in steps)

    def end(self, state: tuple[Any, ...]) -> float | None:
        last = [grammar.end(own) for grammar, own in zip(self.grammars, state, strict=True)]
        return None if None in last else sum(last)


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file. Raises :class:`~baimu.errors.DataError` where it cannot be read as UTF-8."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give a text file in UTF-8") from None
