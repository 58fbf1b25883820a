"""Recipe fields on the command line: ``epochs=12 lr=0.01 milestones=0.6,0.9``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from baimu.errors import BaimuError


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as a dict. Values are YAML (``12``, ``1e-3``, ``true``, ``null``); a comma makes a list.

    A key may begin with ``model.``.

    Raises :class:`~baimu.errors.BaimuError` for a word without ``=``, a key given twice, and a value that is not YAML.
    """
    import yaml

    settings: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (equals and key.removeprefix("model.").isidentifier()):
            raise BaimuError(f"{word!r} is not a setting; write key=value, for example epochs=12")
        if key in settings:
            raise BaimuError(f"{key} is given twice: {key}={settings[key]} and {word}")
        try:
            text = re.sub(r"(^|,)(\*[^,]*)", r'\1"\2"', text)  # a pattern such as *.weight, no alias of YAML
            settings[key] = yaml.safe_load(f"[{text}]" if "," in text and text[0] not in "[{\"'" else text)
        except yaml.YAMLError:
            raise BaimuError(f"{word!r}: the value is neither a number, a word nor a list such as 0.6,0.9") from None
    return settings


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
