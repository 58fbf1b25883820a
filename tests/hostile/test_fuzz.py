"""A short run of what ``make fuzz`` does at length: changed files give pixels, data sets or errors of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from baimu.errors import DataError
from tests.hostile.fuzz import fuzz
from tests.hostile.mutations import mutated
from tests.hostile.readers import COCO, image_readers, parser_readers
from tests.hostile.words import changed_json
from tests.hostile.written import png

EACH = 20


def test_changed_images_and_annotations_do_no_harm() -> None:
    """Some three hundred images of all formats, and as many inputs of our parsers; none ends or holds the process."""
    readers = {**image_readers(), **parser_readers()}
    told = fuzz(readers, EACH, seed=70_000, report=lambda line: None)
    assert {name: row["faults"] for name, row in told.items() if row["faults"]} == {}
    assert sum(row["files"] for row in told.values()) == EACH * len(readers) >= 600
    assert sum(row.get("read", 0) for row in told.values()) > 100, "changes that are all refused prove little"
    assert sum(row.get("refused", 0) for row in told.values()) > 100


def test_changes_are_the_same_at_every_run_and_nearly_never_none() -> None:
    from tests.hostile.case import noise

    seeds = [png(noise()), COCO.encode()]
    made = [mutated(seeds, number) for number in range(200)]
    assert made == [mutated(seeds, number) for number in range(200)]
    assert sum(data in seeds for data in made) < 10
    assert json.loads(COCO)["images"]
    import random

    assert changed_json(COCO, random.Random(1)) != changed_json(COCO, random.Random(2))


@pytest.mark.parametrize(
    ("deed", "said"),
    [("end", "died"), ("raise", "KeyError"), ("hold", "no memory"), ("silent", "without a word"), ("good", "")],
)
def test_faults_are_seen_and_numbered(deed: str, said: str) -> None:
    def reader(number: int, folder: Path) -> None:
        assert folder.is_dir()
        if number != 3 or os.getpid() == first:
            return
        if deed == "end":
            os.abort()
        if deed == "raise":
            raise KeyError("not ours")
        if deed == "hold":
            bytearray(8 << 30)
        if deed in ("silent", "good"):
            raise DataError("" if deed == "silent" else "the file is damaged")

    first = os.getpid()
    told = fuzz({"one": reader}, 6, seed=0, report=lambda line: None)["one"]
    assert [fault["number"] for fault in told["faults"]] == ([3] if said else [])
    assert all(said in fault["said"] for fault in told["faults"])
