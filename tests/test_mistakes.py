"""What users do wrong most is answered by one message that names the cause, the place and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mistakes.desk import lay_out
from tests.mistakes.making import call, command, lacking
from tests.mistakes.mistake import Desk, Mistake
from tests.mistakes.table import CALLS, COMMANDS


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    lay_out(folder)
    return Desk(folder)


@pytest.mark.parametrize("row", COMMANDS, ids=[row.what for row in COMMANDS])
def test_a_command_is_answered(row: Mistake, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = command(row, desk)
    assert said.stumbled is None, "a traceback instead of a message"
    assert said.code == row.code, said.text
    assert not lacking(row, desk, said.text), said.text


@pytest.mark.parametrize("row", CALLS, ids=[row.what for row in CALLS])
def test_a_call_is_answered(row: Mistake, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = call(row, desk)
    assert text, "nothing was raised"
    assert not lacking(row, desk, text), text


def test_the_table_holds_a_hundred_different_mistakes_with_all_three_parts() -> None:
    rows = (*COMMANDS, *CALLS)
    assert len(rows) >= 100
    assert len({row.what for row in COMMANDS}) == len(COMMANDS)
    assert len({row.what for row in CALLS}) == len(CALLS)
    assert all(part.strip() for row in rows for part in (row.cause, row.place, row.mend))


def test_what_is_not_said_is_told(desk: Desk) -> None:
    row = Mistake("", "", "cause", "{photo.jpg}", "mend")
    assert lacking(row, desk, f"{desk / 'photo.jpg'}: cause; mend") == []
    assert lacking(row, desk, "cause") == ["place: {photo.jpg}", "mend: mend"]
