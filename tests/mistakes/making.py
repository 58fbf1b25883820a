"""Making a mistake, and what is said."""

from __future__ import annotations

from typing import NamedTuple

from typer.testing import CliRunner

from baimu.cli.main import app
from baimu.errors import BaimuError
from tests.mistakes.mistake import Desk, Mistake


class Said(NamedTuple):
    code: int
    text: str  # stderr; of a check of data, whose findings are its result, stdout
    stumbled: BaseException | None  # what came through that is no exit


def command(row: Mistake, desk: Desk) -> Said:
    assert isinstance(row.act, str)
    done = CliRunner().invoke(app, desk.words(row.act), prog_name="baimu")
    stumbled = None if isinstance(done.exception, SystemExit) else done.exception
    return Said(done.exit_code, done.stdout if row.code == 1 else done.stderr, stumbled)


def call(row: Mistake, desk: Desk) -> str:
    """The message of the :class:`BaimuError`; without one there is none."""
    assert callable(row.act)
    try:
        row.act(desk)
    except BaimuError as error:
        return str(error)
    return ""


def lacking(row: Mistake, desk: Desk, text: str) -> list[str]:
    """What the message was to say and does not; ``{name}`` in it is a path on the desk."""
    wanted = {"cause": row.cause, "place": row.place, "mend": row.mend}
    return [f"{part}: {words}" for part, words in wanted.items() if _named(words, desk) not in text]


def _named(words: str, desk: Desk) -> str:
    head, brace, rest = words.partition("{")
    name, _, tail = rest.partition("}")
    return f"{head}{desk / name}{_named(tail, desk)}" if brace else words
