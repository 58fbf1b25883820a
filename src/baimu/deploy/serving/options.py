"""What a request may ask of a model: the options of its task, as text, each checked by its own annotation."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from baimu.deploy.serving.limits import Refusal
from baimu.errors import BaimuError, unknown
from baimu.inference.options import option_types

FREE = frozenset({"score_threshold", "iou_threshold", "classes", "top", "flip", "confidence", "to", "language_weight"})
"""Options that anyone may give: they name no file, and cost no more than twice the work."""

Given = tuple[tuple[str, Any], ...]
"""Options and their values, sorted: a key."""


class Options:
    """The options of a ``task``: those of :data:`FREE` and those of ``allow`` are open to requests, what names a file
    never is. ``own`` are the server's own, which hold where a request says nothing.

    Raises :class:`~baimu.errors.UnknownNameError` for a name that the task has not, with the nearest, and
    :class:`~baimu.errors.BaimuError` for an allowed one that names a file, or a value that is not of its type.
    """

    def __init__(
        self, name: str, task: Callable[..., Any], *, own: Mapping[str, Any] | None = None, allow: Iterable[str] = ()
    ) -> None:
        kinds, signature = option_types(task), inspect.signature(task)
        self.name = name
        self.types = {option: TypeAdapter(kind) for option, kind in kinds.items()}
        self._files = {option for option, kind in kinds.items() if "Path" in str(kind)}
        for option in [*allow, *(own or {})]:
            if option not in self.types:
                raise unknown(f"option of {name}", option, self.types)
        for option in self._files.intersection(allow):
            raise BaimuError(f"{option}: names a file, which no request may; give it when the server starts")
        self.open = [option for option in self.types if option in {*FREE, *allow} - self._files]
        try:
            self.own = {option: self._value(option, value) for option, value in (own or {}).items()}
        except Refusal as refusal:
            raise BaimuError(refusal.message) from None
        self.defaults = {option: signature.parameters[option].default for option in kinds} | self.own

    def parse(self, query: Sequence[tuple[str, str]]) -> Given:
        """All options of a request, sorted; a :class:`Refusal` of 422 says what is wrong with one."""
        given: dict[str, list[str]] = {}
        for name, value in query:
            given.setdefault(name, []).append(value)
        for name in given:
            if name not in self.types:
                raise Refusal(422, "unknown_option", str(unknown(f"option of {self.name}", name, self.open)))
            if name not in self.open:
                raise Refusal(422, "closed_option", f"{name}: is not open to requests on this server")
        values = {name: self._value(name, v[0] if len(v) == 1 else v) for name, v in given.items()}
        return tuple(sorted((self.own | values).items()))

    def describe(self) -> list[dict[str, Any]]:
        """The options that are open to requests: name, JSON schema, default."""
        return [
            {"name": name, "schema": self.types[name].json_schema(), "default": self.defaults[name]}
            for name in self.open
        ]

    def _value(self, name: str, given: Any) -> Any:
        """Text, or a list of texts, as the option's type; a text with commas may be a list."""
        tries = [given, given.split(",")] if isinstance(given, str) else [given]
        said = ""
        for one in tries:
            try:
                value = self.types[name].validate_python(one)
            except ValidationError as error:
                said = said or error.errors()[0]["msg"]
                continue
            return _finite(name, tuple(value) if isinstance(value, list | tuple) else value)
        raise Refusal(422, "wrong_option", f"{name}: {said[:1].lower()}{said[1:]}")


def _finite(name: str, value: Any) -> Any:
    for number in value if isinstance(value, tuple) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise Refusal(422, "wrong_option", f"{name}: must be a finite number")
    return value
