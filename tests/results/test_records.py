"""Records are written as they come, and the files are those that json and csv write of the whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import Any

import pytest

from baimu.results import Unread
from baimu.results.records import Records

RECORDS: list[dict[str, Any]] = [
    {"source": 'ä, "b".jpg', "objects": []},
    {"source": "c\n.jpg", "objects": [{"box": [0.0, 1.5], "name": "a\nb", "score": 0.1}], "nothing": {}},
]


def written(given: list[tuple[dict[str, Any], list[str], list[list[Any]]]], errors: bool = False) -> tuple[str, str]:
    told, table = io.StringIO(), io.StringIO()
    with Records(told, table, errors=errors) as records:
        for one in given:
            records.add(*one)
    return told.getvalue(), table.getvalue()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_list_is_that_of_the_json_module(count: int) -> None:
    told, _ = written([(record, ["source"], []) for record in RECORDS[:count]])
    assert told == json.dumps(RECORDS[:count], indent=1, ensure_ascii=False) + "\n"


def test_the_table_quotes_what_needs_it() -> None:
    rows = [["ä, b.jpg", 'a "cat", big'], ["c.jpg", 0.5]]
    _, table = written([(RECORDS[0], ["source", "name"], rows[:1]), (RECORDS[1], ["source", "name"], rows[1:])])
    assert table == 'source,name\n"ä, b.jpg","a ""cat"", big"\nc.jpg,0.5\n'


def test_what_was_given_before_an_error_is_kept() -> None:
    told, table = io.StringIO(), io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), Records(told, table) as records:
        records.add({"source": "a"}, ["source"], [["a"]])
        raise KeyboardInterrupt
    assert json.loads(told.getvalue()) == [{"source": "a"}]
    assert table.getvalue() == "source\na\n"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_errors_have_a_column_of_their_own_wherever_they_stand(order: tuple[int, int]) -> None:
    broken = Unread("b.jpg", "b.jpg: is empty")
    given = [({"source": "a.jpg"}, ["source", "name"], [["a.jpg", "cat"]]), (broken.to_dict(), [], [])]
    _, table = written([given[i] for i in order], errors=True)
    rows = [["a.jpg", "cat", ""], ["b.jpg", "", "b.jpg: is empty"]]
    assert list(csv.reader(io.StringIO(table))) == [["source", "name", "error"], *(rows[i] for i in order)]


def test_errors_alone_are_a_table_too() -> None:
    told, table = written([(Unread("b.jpg", "no").to_dict(), [], [])], errors=True)
    assert table == "source,error\nb.jpg,no\n"
    assert json.loads(told) == [{"source": "b.jpg", "error": "no"}]


def test_an_unread_image_says_why_in_few_words() -> None:
    assert Unread("b.jpg", "b.jpg: is empty").summary == "not read: is empty"
