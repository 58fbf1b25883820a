"""Changes that know what they change: values, keys and lines instead of bytes."""

from __future__ import annotations

import json
import random
import re
from typing import Any

WORDS = (
    *("", " ", "0", "-0", "-1", "+1", "0.5", "1e999", "-1e999", "1e-320", "NaN", "nan", "Infinity", "9" * 400),
    *("2147483648", "9223372036854775808", "0x10", "1_000", "1,000", "١٢", "true", "null", "[]", "{}", '"', "'", ","),
    *("\t", "\r", "\n", "\0", "\ufeff", "\u202e", "\ud800", "百目", "a" * 5000, "--", "=", ":", "#", "%s%n"),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "C:\\a",
        "file:///etc/passwd",
        "!!python/object/apply:os.system [id]",
        "&a [*a]",
    ),
    *("<!ENTITY a 'a'>", "&a;", "<![CDATA["),
)
"""What stands in places where a number, a name or a path is meant."""

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        2**64,
        -(2**63),
        10**400,
        0.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
    ),
    *("", "0", "-1", "a", "\0", "\ud800", "../../a.png", "/etc/passwd", [], [[]], {}, {"a": {}}, [None], [1, 2]),
    *([1, 2, 3], [1, 2, 3, 4], ["a"] * 4, [float("nan")] * 4, [[1, 2, 3]], [[1, 2, 3, 4, 5, 6, 7]]),
    *({"size": [24, 40], "counts": "\x7f" * 9}, {"size": [-1, 40], "counts": [5]}, {"size": "ab", "counts": 3}),
    *({"size": [2**31, 2**31], "counts": []}, {"size": [24, 40], "counts": [2**40, 2**40]}),
)


def changed_json(text: str, rng: random.Random) -> str:
    """One to four values replaced, removed, doubled or moved; keys misspelt, or twice in an object."""
    document: Any = json.loads(text)
    for _ in range(rng.randint(1, 4)):
        places = list(_places(document))
        if not places:
            break
        holder, key = rng.choice(places)
        way = rng.randrange(6)
        if way <= 2:
            holder[key] = json.loads(json.dumps(rng.choice(VALUES)))
        elif way == 3:
            del holder[key]
        elif way == 4 and isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice((1, 2, 30)))
        elif isinstance(holder, dict):
            holder[rng.choice(("", "id", "bbox", f"{key} "))] = holder.pop(key)
    made = json.dumps(document if rng.random() < 0.97 else rng.choice(VALUES))
    if rng.random() < 0.05:
        made = rng.choice(("[" * 100_000, '{"a":' * 50_000, made + made, made.replace("[", "[[", 1), "\ufeff" + made))
    return made


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Everything that stands somewhere: its holder, and the key or the position there."""
    found: list[tuple[Any, Any]] = []
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        found.append((document, key))
        found += _places(document[key])
    return found


def changed_text(text: str, rng: random.Random) -> str:
    """One to three changes: a word replaced by one of :data:`WORDS` or by another of the text, or put in, or removed; a
    line doubled, removed or moved; a mark between words exchanged."""
    for _ in range(rng.randint(1, 3)):
        words = list(re.finditer(r"[^\s,;:=<>/\"{}\[\]]+", text))
        lines = text.splitlines(keepends=True)
        way = rng.randrange(8)
        if way <= 2 and words:
            word = rng.choice(words)
            text = text[: word.start()] + rng.choice(WORDS) + text[word.end() :]
        elif way == 3 and len(words) > 1:
            word, other = rng.sample(words, 2)
            text = text[: word.start()] + other[0] + text[word.end() :]
        elif way == 4:
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(WORDS) + text[at:]
        elif way == 5 and lines:
            at = rng.randrange(len(lines))
            text = "".join(lines[:at] + lines[at : at + 1] * rng.choice((0, 2, 3)) + lines[at + 1 :])
        elif way == 6 and lines:
            rng.shuffle(lines)
            text = "".join(lines)
        elif way == 7 and rng.random() < 0.05:
            text += rng.choice(("[", "{a: ", "<a>", "((", "- ")) * 20_000
        else:
            mark, other = rng.sample((",", " ", "\t", ";", ":", "=", "<", ">", "/", "\n"), 2)
            text = text.replace(mark, other, rng.choice((1, 2, -1)))
    return text
