"""Shards cover the list once, in order; a job goes on only as it was begun; the merge sees what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baimu.deploy.shards import Answer, Entry, Job, NumbersOnDisk, begin, cut
from baimu.errors import DataError
from baimu.inference.saving import Names

SETTINGS = {"model": "a", "sources": ["photos"], "on_error": "stop"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with ten images, of which nothing is read."""
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        path = tmp_path / "photos" / f"{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return ["photos"]


def job(photos: list[str], **settings: object) -> Job:
    return begin(Path("job"), photos, {**SETTINGS, **settings}, batch_size=2, size=3)


def answer(name: str) -> Answer:
    return Answer({"source": name}, ["source"], [[name]])


def finish(one: Job) -> None:
    for number, entries in one.shards():
        one.write(number, [answer(entry.name) for entry in entries])


@given(st.lists(st.integers(1, 20), max_size=6), st.integers(1, 9), st.integers(1, 4))
def test_shards_hold_everything_once_and_end_where_batches_do(counts: list[int], size: int, batch: int) -> None:
    entries = [Entry(source, f"{source}/{i}", "", "") for source, count in enumerate(counts) for i in range(count)]
    shards = list(cut(iter(entries), size, batch))
    assert [entry for shard in shards for entry in shard] == entries
    assert all(size <= len(shard) < size + batch for shard in shards[:-1])
    starts = [shard[0] for shard in shards]
    assert all(int(entry.name.partition("/")[2]) % batch == 0 for entry in starts)


def test_the_answers_are_those_of_the_list_in_order(photos: list[str]) -> None:
    one = job(photos)
    assert one.images == 10
    finish(one)
    assert len(one.done()) == 3  # of three images and what the batch needs: four
    names = [told.record["source"] for told in one.answers()]
    assert names == sorted(names, key=Path)
    assert len(set(names)) == 10


def test_what_is_done_is_known_to_the_next_call(photos: list[str]) -> None:
    number, entries = next(job(photos).shards())
    job(photos).write(number, [answer(entry.name) for entry in entries])
    assert job(photos).done() == {0}


def test_results_of_a_job_that_was_never_begun_count_for_nothing(photos: list[str]) -> None:
    finish(job(photos))
    Path("job/job.json").unlink()
    assert job(photos).done() == set()


def test_a_removed_job_leaves_nothing(photos: list[str]) -> None:
    finish(one := job(photos))
    one.remove()
    assert not Path("job").exists()


@pytest.mark.parametrize("change", ["missing", "short", "long", "other"])
def test_a_shard_that_is_not_whole_is_seen(photos: list[str], change: str) -> None:
    finish(one := job(photos))
    told = [answer(entry.name) for entry in dict(one.shards())[1]]
    if change == "missing":
        one.file(1).unlink()
    else:
        other = {"short": told[:-1], "long": [*told, told[0]], "other": told[::-1]}[change]
        one.write(1, other)
    with pytest.raises(DataError, match=r"00000001\.jsonl"):
        list(one.answers())


def test_other_settings_are_refused_by_name(photos: list[str]) -> None:
    job(photos)
    with pytest.raises(DataError, match=r"model was 'a' and is 'b'.*remove job to begin anew"):
        job(photos, model="b")


def test_errors_may_be_recorded_from_the_middle_on_but_not_forgotten(photos: list[str]) -> None:
    job(photos)
    job(photos, on_error="record")
    assert json.loads(Path("job/job.json").read_text())["settings"]["on_error"] == "record"
    with pytest.raises(DataError, match="on_error was 'record' and is 'stop'"):
        job(photos, on_error="stop")


@pytest.mark.parametrize("change", ["more", "less"])
def test_other_images_are_refused_by_name(photos: list[str], change: str) -> None:
    job(photos)
    if change == "more":
        Path("photos/1/a.jpg").touch()
    else:
        Path("photos/1/9.jpg").unlink()
    with pytest.raises(DataError, match=r"image 1[01] was .* and is "):
        job(photos)


def test_nothing_is_written_for_a_source_that_is_missing(photos: list[str]) -> None:
    with pytest.raises(DataError, match="nowhere"):
        begin(Path("job"), [*photos, "nowhere"], SETTINGS, batch_size=1, size=0)
    assert not Path("job").exists()


def test_names_on_the_disk_are_those_in_memory() -> None:
    names = ["a.png", "b.png", "a.png", "a-2.png", "a.png", "a-2.png"]
    here, there = Names(), Names(NumbersOnDisk())
    assert [here.free(Path(name)) for name in names] == [there.free(Path(name)) for name in names]
    assert len({here.free(Path(name)) for name in names}) == len(names)
