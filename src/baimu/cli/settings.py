"""Settings on the command line: fields of a recipe, ``epochs=12 lr=0.01 milestones=0.6,0.9``, and options of a task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, get_args

from baimu.errors import BaimuError


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as a dict. Values are YAML (``12``, ``1e-3``, ``true``, ``null``); a comma makes a list.

    A key may begin with ``model.``.

    Raises :class:`~baimu.errors.BaimuError` for a word without ``=``, a key given twice, and a value that is not YAML.
    """
    import yaml

    settings: dict[str, Any] = {}
    for key, text in _split(words, "epochs=12").items():
        plain = re.sub(r"(^|,)(\*[^,]*)", r'\1"\2"', text)  # a pattern such as *.weight, no alias of YAML
        try:
            settings[key] = yaml.safe_load(f"[{plain}]" if "," in plain and plain[0] not in "[{\"'" else plain)
        except (yaml.YAMLError, RecursionError):
            raise BaimuError(
                f"'{key}={text}': the value is neither a number, a word nor a list such as 0.6,0.9"
            ) from None
    return settings


def parse_options(words: Sequence[str], kind: str, types: Mapping[str, Any]) -> dict[str, Any]:
    """``key=value`` words as options of these ``types``; where it may be several values, commas part them.

    Raises :class:`~baimu.errors.BaimuError` for a word without ``=``, an option given twice, one that is unknown
    (``kind`` says of what), and a value of another type.
    """
    from baimu.inference.options import check_options

    texts = _split(words, "flip=true")
    check_options(kind, texts, types)
    return {key: _typed(key, text, types[key]) for key, text in texts.items()}


def split_arguments(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Recipe fields, and the arguments of the model, which are written ``model.KEY=VALUE``."""
    arguments = {key.removeprefix("model."): value for key, value in settings.items() if key.startswith("model.")}
    return {key: value for key, value in settings.items() if not key.startswith("model.")}, arguments


def format_setting(value: Any) -> str:
    """A recipe value as :func:`parse_settings` reads it; fractions to four digits."""
    if isinstance(value, tuple | list):
        return ",".join(map(format_setting, value)) or "[]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _split(words: Sequence[str], example: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (equals and key.removeprefix("model.").isidentifier()):
            raise BaimuError(f"{word!r} is not a setting; write key=value, for example {example}")
        if key in texts:
            raise BaimuError(f"{key} is given twice: {key}={texts[key]} and {word}")
        texts[key] = text
    return texts


def _typed(key: str, text: str, kind: Any) -> Any:
    """The text as a value of this type, or what commas part as several."""
    from pydantic import TypeAdapter, ValidationError

    for value in (text, text.split(",")):
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError:
            continue
    raise BaimuError(f"{key}={text}: give {_said(kind)}")


def _said(kind: Any) -> str:
    """What may be written for a type, in words."""
    parts = [part for part in (get_args(kind) if isinstance(kind, UnionType) else [kind]) if part is not NoneType]
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    said = dict.fromkeys(words.get((get_args(part) or [part])[0], "a word") for part in parts)
    return " or ".join(said) + (", or several with commas between" if any(map(get_args, parts)) else "")
