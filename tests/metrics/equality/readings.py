"""Error rates of characters and words against jiwer, distances and 1-NED against rapidfuzz."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import jiwer
import numpy as np
from rapidfuzz.distance import Levenshtein

from baimu.metrics.text import distance, score_readings
from tests.metrics.equality.case import Case, Subject

ALPHABETS = ("ab", "abc ", "aAbB 01.", "äöüßéñ ", "e\u0301a\u0308n\u0303 ", "百目の国 ", "😀👩\u200d👧🏽 ", "ﬁǅİ ")
CHARACTERS = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])  # its default would cut blanks off both ends


def random_case(seed: int) -> tuple[list[str], list[str]]:
    """Texts of one alphabet, read with letters left out, put in, exchanged and swapped; some are empty on a side."""
    rng = np.random.default_rng(seed)
    truths, found, babbles = [], [], rng.random() < 0.1
    for _ in range(rng.integers(0, 9)):
        letters = ALPHABETS[rng.integers(len(ALPHABETS))]
        text = [
            letters[i]
            for i in rng.integers(0, len(letters), rng.choice([0, 1, 5, 12, 80], p=[0.1, 0.1, 0.4, 0.3, 0.1]))
        ]
        read = list(text)
        for _ in range(rng.integers(0, 1 + max(2, len(text) // 3))):
            place, kind = int(rng.integers(0, len(read) + 1)), rng.integers(4)
            if kind == 0:
                read.insert(place, letters[rng.integers(len(letters))])
            elif kind == 1:
                del read[place : place + 1]
            elif kind == 2:
                read[place : place + 1] = [letters[rng.integers(len(letters))]]
            else:
                read[place : place + 2] = read[place : place + 2][::-1]
        if babbles:
            read += list(letters) * 20
        truths.append("".join(text))
        found.append("".join(read) if rng.random() < 0.95 else "")
    return truths, found


def peers(truths: Sequence[str], found: Sequence[str]) -> dict[str, Any]:
    """Of a truth without any characters (or words) jiwer tells the number put in; a rate is not defined there: nan."""
    characters, words = sum(map(len, truths)), sum(len(t.split()) for t in truths)
    both = list(truths), list(found)
    pairs = list(zip(truths, found, strict=True))
    closeness = [Levenshtein.normalized_similarity(a, b) for a, b in pairs]
    return {
        "cer": jiwer.cer(*both, CHARACTERS, CHARACTERS) if characters else math.nan,
        "wer": jiwer.wer(*both) if words else math.nan,
        "similarity": float(np.mean(closeness)) if pairs else math.nan,
        "accuracy": float(np.mean([a == b for a, b in pairs])) if pairs else math.nan,
        "distances": [Levenshtein.distance(a, b) for a, b in pairs],
        "distances of words": [Levenshtein.distance(a.split(), b.split()) for a, b in pairs],
    }


def compare(seed: int) -> Case:
    truths, found = random_case(seed)
    scores = score_readings(truths, found)
    ours = {name: getattr(scores, name) for name in ("cer", "wer", "similarity", "accuracy")}
    ours["distances"] = [distance(a, b) for a, b in zip(truths, found, strict=True)]
    ours["distances of words"] = [distance(a.split(), b.split()) for a, b in zip(truths, found, strict=True)]
    every = "".join(truths + found)
    traits = {
        "no lines": not truths,
        "empty truth": "" in truths,
        "empty reading": "" in found,
        "both empty": any(not a and not b for a, b in zip(truths, found, strict=True)),
        "beyond ASCII": not every.isascii(),
        "combining marks": any(unicodedata.combining(c) for c in every),
        "blanks at the ends": any(text != text.strip() for text in truths),
        "more errors than characters": scores.cer > 1,
    }
    return Case(ours, peers(truths, found), {name for name, true in traits.items() if true})


TRAITS = (
    *("no lines", "empty truth", "empty reading", "both empty", "beyond ASCII", "combining marks"),
    *("blanks at the ends", "more errors than characters"),
)
READINGS = Subject("CER, WER, 1-NED", "jiwer, rapidfuzz", ("jiwer", "rapidfuzz"), 1e-12, TRAITS, compare)
