"""One row of the table, and what is needed to make it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import baimu


@dataclass(frozen=True)
class Desk:
    """The folder that :func:`tests.mistakes.desk.lay_out` filled."""

    folder: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def model(self, name: str) -> Any:
        return _loaded(self.folder / f"{name}.safetensors")

    def words(self, line: str) -> list[str]:
        """A command line without ``baimu``; ``{name}`` is a path on the desk."""
        return [re.sub(r"{([\w./]+)}", lambda name: str(self / name[1]), word) for word in shlex.split(line)]


class Mistake(NamedTuple):
    """What is done wrong, by a command line or a call of Python, and what the message must say.

    ``cause`` is what is wrong; ``place`` the argument, file or record that it is about; ``mend`` what to do next.
    ``code`` is the exit status of a command: 2, or 1 where a check of data found something.
    """

    what: str
    act: str | Callable[[Desk], Any]
    cause: str
    place: str
    mend: str
    code: int = 2


@cache
def _loaded(path: Path) -> Any:
    return baimu.load(path)
