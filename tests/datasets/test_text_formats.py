"""Lists and folders of texts with labels: every form, what is left out and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.datasets.formats.text_list import find_texts, read_text_list
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.source import ImageSource, TextSource
from baimu.datasets.summary import data
from baimu.errors import DataError, UnknownNameError


def rows(source) -> list[tuple[str, str]]:
    return [(source.classes[source.labels(i)[0]], source.text(i)) for i in range(len(source))]


PAIRS = [("ham", 'he said "go'), ("spam", "win a prize, now"), ("ham", "see you at home")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", 'ham\the said "go\nspam\twin a prize, now\nham\tsee you at home\n'),
        ("a.txt", 'label\ttext\nham\the said "go\nspam\twin a prize, now\nham\tsee you at home\n'),
        ("a.csv", 'text,label\n"he said ""go",ham\n"win a prize, now",spam\nsee you at home,ham\n'),
        ("a.csv", 'v1,v2\nham,"he said ""go"\nspam,"win a prize, now"\nham,see you at home\n'),
        ("a.txt", '__label__ham he said "go\n__label__spam win a prize, now\n__label__ham see you at home\n'),
    ],
    ids=["tsv", "header", "csv", "kaggle", "fasttext"],
)
def test_forms_of_a_list(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    source = open_source(tmp_path / name, kind="text_classification")
    assert isinstance(source, TextSource)
    assert not isinstance(source, ImageSource)
    assert rows(source) == PAIRS
    assert source.classes == ("ham", "spam")
    assert source.name(1).startswith(f"{tmp_path / name}:")


def test_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text(
        "id,kind_of,subject,words\n1,ham,hello you,a long letter\n2,spam,win now,buy this\n", encoding="utf-8"
    )
    assert rows(open_source(f"{path}:text=subject,label=kind_of", kind="text_classification")) == [
        ("ham", "hello you"),
        ("spam", "win now"),
    ]
    with pytest.raises(UnknownNameError, match="subject"):
        read_text_list(path, text="subjet", label="kind_of")


def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("ham\tfirst text here\n\ttext alone here\nspam\t \nham\n", encoding="utf-8")
    source = read_text_list(path)
    assert rows(source) == [("ham", "first text here")]
    assert [p.record for p in source.problems] == ["line 2", "line 3", "line 4"]
    path.write_text("ham\tfirst text here\nham\tanother one\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is nothing to tell apart"):
        open_data(path, kind="text_classification", val=path)


def test_one_name_of_a_column_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("what,label\nsee you,ham\nwin now,spam\n", encoding="utf-8")
    assert rows(read_text_list(path)) == [("ham", "see you"), ("spam", "win now")]
    path.write_text("alone\nsee you\n", encoding="utf-8")
    with pytest.raises(DataError, match="needs a column of labels and one of texts"):
        read_text_list(path)


def test_a_tab_in_a_text_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("ham\tone two\nspam\tthree\tfour\n", encoding="utf-8")
    assert rows(read_text_list(path))[1] == ("spam", "three\tfour")


def test_splits_and_class_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label, text in (("neg", "bad film"), ("pos", "good film")):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            (folder / "1.txt").write_text(f"{text}\nof {part}\n", encoding="utf-8")
            (folder / "2.txt").write_text(" \n", encoding="utf-8")
    train, test = open_data(tmp_path, kind="text_classification")
    assert rows(train) == [("neg", "bad film of train"), ("pos", "good film of train")]
    assert rows(test) == [("neg", "bad film of test"), ("pos", "good film of test")]
    assert len(train.problems) == 2
    lists = tmp_path / "lists"
    lists.mkdir()
    for part in ("train", "dev"):
        (lists / f"{part}.tsv").write_text(f"a\tsome words of {part}\nb\tother words\n", encoding="utf-8")
    assert set(find_texts(lists)) == {"train", "val"}


def test_labels_are_matched_by_name(tmp_path: Path) -> None:
    for name, labels in (("a", "xyx"), ("b", "yyy"), ("c", "zxz")):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{c}\tsome words {c}\n" for c in labels), encoding="utf-8")
    train, val = open_data(tmp_path / "a.tsv", kind="text_classification", val=tmp_path / "b.tsv")
    assert train.classes == val.classes == ("x", "y")
    assert val.labels(0).tolist() == [1]
    with pytest.raises(DataError, match=r"has texts of z, unknown to the training data \(which has x, y\)"):
        open_data(tmp_path / "a.tsv", kind="text_classification", val=tmp_path / "c.tsv")


def test_lists_of_images_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,label\na b.jpg,cat\nc d.jpg,dog\n", encoding="utf-8")
    assert find_texts(tmp_path / "a.csv") == {}
    (tmp_path / "b.txt").write_text("one column\nof words\n", encoding="utf-8")
    assert find_texts(tmp_path / "b.txt") == {}


def test_real_texts(shared: Path) -> None:
    [(name, source)] = splits(shared / "data/sms_spam").items()
    assert (name, len(source), source.classes) == ("all", 4574, ("ham", "spam"))
    train, val = open_data(shared / "data/sms_spam", kind="text_classification")
    counts = [sum(int(part.labels(i)[0]) for i in range(len(part))) for part in (train, val)]
    assert sum(counts) == 617
    assert abs(counts[1] / len(val) - 617 / 4574) < 0.002
    rows = [line.split() for line in str(data(str(shared / "data/sms_spam"))).splitlines()]
    assert ["spam", "617"] in rows
    assert ["texts", "4,574"] in rows
