"""Lists and folders of text lines: every form, what is left out and why, and the characters."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.datasets.formats.line_list import find_lines, read_line_list, read_text_files
from baimu.datasets.lines import Lines, folding
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.source import ReadingSource
from baimu.datasets.summary import data
from baimu.errors import DataError


def draw(path: Path, width: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, 20), 200).save(path)
    return path


def texts(source) -> list[str]:
    return [source.text(i) for i in range(len(source))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b c.jpg", "d.png"):
        draw(tmp_path / "img" / name)
    return tmp_path


@pytest.mark.parametrize(
    "rows",
    [
        'img/a.png\tTOTAL 12\nimg/b c.jpg\tx, "y"\nimg/d.png\té\n',
        'img/a.png, "TOTAL 12"\nimg/b c.jpg, "x, \\"y\\""\nimg/d.png, "é"\n',
        'img/a.png TOTAL 12\nimg/b c.jpg x, "y"\n\nimg/d.png   e\u0301 \n',
    ],
    ids=["tab", "icdar", "blank"],
)
def test_forms_of_a_row(folder: Path, rows: str) -> None:
    (folder / "list.txt").write_text(rows, encoding="utf-8")
    source = open_source(folder / "list.txt", kind="text_recognition")
    assert isinstance(source, ReadingSource)
    assert texts(source) == ["TOTAL 12", 'x, "y"', "é"]
    assert source.classes == tuple(sorted(set('TOTAL 12x, "y"é')))
    assert source.size(0) == (20, 60)
    assert source.name(1).endswith("b c.jpg")
    assert not source.problems


def test_what_cannot_be_used_is_named_with_file_and_line(folder: Path) -> None:
    rows = ["img/a.png\tgood", "no row at all", "img/b c.jpg\t", "img/gone.png\tx", "img/d.png\t###"]
    (folder / "list.txt").write_text("\n".join(rows), encoding="utf-8")
    source = read_line_list(folder / "list.txt")
    assert texts(source) == ["good"]
    told = [str(problem) for problem in source.problems]
    assert len(told) == 4
    assert any("line 2" in line and "no path and text" in line for line in told)
    assert any("line 3" in line and "has no text" in line for line in told)
    assert any("line 5" in line and "unreadable" in line for line in told)
    assert any("gone.png" in line for line in told)


def test_characters_that_may_occur(folder: Path) -> None:
    (folder / "characters.txt").write_text("abcd\n", encoding="utf-8")
    (folder / "list.txt").write_text("img/a.png\tab\nimg/d.png\tabx\n", encoding="utf-8")
    source = read_line_list(folder / "list.txt")
    assert texts(source) == ["ab"]
    assert source.classes == tuple("abcd")
    assert "line 2" in str(source.problems[0])
    assert "'x', which characters.txt lacks" in str(source.problems[0])


def test_splits_by_lists_folders_and_text_files(folder: Path) -> None:
    for name in ("gt_train.txt", "gt_test.txt"):
        (folder / name).write_text("img/a.png\ta\nimg/d.png\tb\n", encoding="utf-8")
    assert set(find_lines(folder)) == {"train", "test"}

    other = folder / "other"
    for part in ("train", "valid"):
        draw(other / part / "1.png")
        (other / part / "labels.txt").write_text("1.png\tone\n", encoding="utf-8")
    assert {k: texts(read()) for k, read in find_lines(other).items()} == {"train": ["one"], "val": ["one"]}

    beside = folder / "beside"
    for name in ("1", "2", "3"):
        draw(beside / f"{name}.png")
    for name in ("1", "3"):
        (beside / f"{name}.gt.txt").write_text(f"text {name}\n", encoding="utf-8")
    source = read_text_files(beside)
    assert texts(source) == ["text 1", "text 3"]
    assert "2.gt.txt" in str(source.problems[0])
    assert list(find_lines(beside)) == ["all"]


def test_a_star_is_a_text(folder: Path) -> None:
    (folder / "list.txt").write_text("img/a.png\t*\n", encoding="utf-8")
    assert texts(read_line_list(folder / "list.txt")) == ["*"]


def test_several_lists_must_be_named(folder: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (folder / name).write_text("img/a.png\ta\n", encoding="utf-8")
    with pytest.raises(DataError, match="several lists"):
        find_lines(folder)


def test_other_text_files_are_no_lists(folder: Path) -> None:
    (folder / "readme.txt").write_text("hello\nworld\n", encoding="utf-8")
    (folder / "train.txt").write_text("img/a.png\nimg/d.png\n", encoding="utf-8")  # YOLO's
    assert find_lines(folder) == {}


def test_a_fifth_is_set_aside_and_splits_are_joined(folder: Path) -> None:
    rows = "".join(f"img/a.png\tt{i}\n" for i in range(10))
    (folder / "list.txt").write_text(rows, encoding="utf-8")
    train, val = open_data(folder / "list.txt", kind="text_recognition")
    assert (len(train), len(val)) == (8, 2)
    assert not set(texts(train)) & set(texts(val))
    (folder / "list.txt").unlink()
    for name in ("train.txt", "test.txt"):
        (folder / name).write_text(rows.replace("t", name[1]), encoding="utf-8")
    train, val = open_data(folder, kind="text_recognition", val_fraction=0.5)
    assert (len(train), len(val)) == (10, 10)
    assert train.classes == tuple("0123456789er")


def lines(folder: Path, *rows: str) -> Lines:
    path = folder / "some.txt"
    path.write_text("".join(f"img/a.png\t{row}\n" for row in rows), encoding="utf-8")
    return read_line_list(path)


def test_held_out_texts_take_the_case_of_the_training(folder: Path) -> None:
    capital, mixed, digits = lines(folder, "TOTAL 1"), lines(folder, "Total 1", "x"), lines(folder, "12")
    assert texts(mixed.like(capital)) == ["TOTAL 1", "X"]
    told = [str(p) for p in mixed.like(capital).problems]
    assert "both cases" in told[0]
    assert "a.png, some.txt, line 2: 'X' has 'X' (U+0058), unknown to the training data" in told[1]
    assert told[1].endswith("(counts as a mistake of the reader)")
    assert texts(capital.like(mixed)) == ["TOTAL 1"]
    assert texts(mixed.like(digits)) == ["Total 1", "x"]
    assert folding(tuple("ab1"))("ÄB") == "äb"


def test_lines_are_subsets_with_their_problems(folder: Path) -> None:
    source = lines(folder, "one", "two", "three").without({1: "is too narrow"})
    assert texts(source) == ["one", "three"]
    assert "'two': is too narrow (line left out)" in str(source.problems[0])
    assert texts(source.select([1])) == ["three"]


def test_a_database(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    buffer = io.BytesIO()
    Image.new("RGB", (50, 20)).save(buffer, "PNG")
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as base, base.begin(write=True) as put:
        put.put(b"num-samples", b"3")
        for number, (label, image) in enumerate([("Ab", buffer.getvalue()), ("cd", b"no image"), ("ef", None)], 1):
            put.put(f"label-{number:09d}".encode(), label.encode())
            if image is not None:
                put.put(f"image-{number:09d}".encode(), image)
    source = open_source(tmp_path / "db", kind="text_recognition")
    assert isinstance(source, Lines)
    assert texts(source) == ["Ab"]
    assert source.image(0).shape == (20, 50, 3)
    assert [p.record for p in source.problems] == ["entry 2", "entry 3"]


def test_without_lmdb_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(DataError, match=r"pip install 'baimu\[text\]'"):
        open_source(tmp_path, kind="text_recognition")


def test_real_lines(shared: Path) -> None:
    found = splits(shared / "data/sroie_lines")
    assert {name: len(part) for name, part in found.items()} == {"train": 2400, "val": 300}
    assert len(found["train"].classes) == 58
    summary = str(data(str(shared / "data/sroie_lines")))
    assert "characters a line" in summary
    assert "no problems found" in summary


def test_the_playground_draws_lines() -> None:
    train, val = open_data("playground:train=6,val=3", kind="text_recognition")
    assert isinstance(train, ReadingSource)
    assert (len(train), len(val)) == (6, 3)
    assert texts(train) != texts(val)
    for i in range(6):
        image = train.image(i)
        assert image.shape == (*train.size(i), 3)
        assert image.dtype == np.uint8
        assert set(train.text(i)) <= set(train.classes)
    assert np.array_equal(train.select([4]).image(0), train.image(4))
    with pytest.raises(DataError, match="12 high or more"):
        open_data("playground:train=1,val=1,size=4", kind="text_recognition")
