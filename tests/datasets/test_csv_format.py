"""Lists: columns recognised or named, one label or several, and each bad row left out with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from baimu.datasets.formats.csv_list import find_csv, read_csv
from baimu.datasets.labels import LabelSource
from baimu.datasets.open import open_data, splits
from baimu.errors import DataError, UnknownNameError
from tests.datasets.files import write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a.png to f.png in ``images``."""
    for seed, name in enumerate("abcdef"):
        write_image(tmp_path / "images" / f"{name}.png", (8, 9), seed)
    return tmp_path


def write(root: Path, text: str, name: str = "list.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def rows(source: LabelSource) -> dict[str, list[str]]:
    """Of each image its labels; a question mark where nobody knows."""
    return {
        Path(source.name(i)).stem: [
            *(source.classes[k] for k in source.labels(i)),
            *(f"{source.classes[k]}?" for k in source.unknown(i)),
        ]
        for i in range(len(source))
    }


@pytest.mark.parametrize(
    "text",
    [
        "image,label\nimages/a.png,cat\nimages/b.png,dog\n",
        "\ufeffFile Name;Class\nimages/a.png;cat\nimages\\b.png;dog\n",
        "id\tkind of\tcategory\na\tx\tcat\nb\ty\tdog\n",
        "images/a.png,cat\nimages/b.png,dog\n",
        'width,photo,label\n9,"images/a.png","cat"\n\n9,images/b.png,dog\n',
    ],
)
def test_one_label_an_image(root: Path, text: str) -> None:
    source = read_csv(write(root, text))
    assert rows(source) == {"a": ["cat"], "b": ["dog"]}
    assert (source.classes, source.multi_label, len(source.problems)) == (("cat", "dog"), False, 0)
    assert source.image(0).shape == (8, 9, 3)


def test_numbers_are_sorted_as_numbers(root: Path) -> None:
    assert read_csv(write(root, "id,label\na,10\nb,9\nc,9\n")).classes == ("9", "10")
    assert read_csv(write(root, "id,label\na,1\nb,0\n")).classes == ("0", "1")  # one label, though of 0 and 1


def test_a_column_for_each_class(root: Path) -> None:
    source = read_csv(write(root, "image,cat,dog,age\na.png,1,0,7\nb.png,1,1,8\nc.png,0,-1,9\nd.png,,0,5\n"))
    assert source.multi_label
    assert source.classes == ("cat", "dog")
    assert rows(source) == {"a": ["cat"], "b": ["cat", "dog"], "c": ["dog?"], "d": ["cat?"]}


@pytest.mark.parametrize("sign", ["|", ";", ",", " "])
def test_several_names_in_a_cell(root: Path, sign: str) -> None:
    source = read_csv(write(root, f'image,tags\na.png,"sky{sign}sea"\nb.png,sea\nc.png,""\n'))
    assert source.multi_label
    assert rows(source) == {"a": ["sky", "sea"], "b": ["sea"], "c": []}
    plain = read_csv(write(root, "image,label\na.png,polar bear\nb.png,brown bear\n"))
    assert plain.classes == ("brown bear", "polar bear")  # blanks part names only where the header speaks of several


def test_columns_are_named(root: Path) -> None:
    file = write(root, "photo of it,species,place\na.png,ant,x\nb.png,bee,y\n")
    with pytest.raises(DataError, match=r"list\.csv: no column of labels is recognised among photo of it, species"):
        read_csv(file)
    assert read_csv(file, label="species").classes == ("ant", "bee")
    train, val = open_data(f"{file}:image=photo of it,label=place", kind="classification", val_fraction=0.5)
    assert (train.classes, len(train), len(val)) == (("x", "y"), 1, 1)
    with pytest.raises(UnknownNameError, match=r"unknown column of .*list\.csv 'specie'\. Did you mean species"):
        read_csv(file, label="specie")
    with pytest.raises(UnknownNameError, match=r"unknown option of a list 'lable'\. Did you mean label"):
        open_data(f"{file}:lable=species", kind="classification")
    flags = write(root, "x,p,q,r\na,1,0,0\nb,1,1,1\n")
    assert read_csv(flags, image="x", label=["p", "r"]).classes == ("p", "r")
    with pytest.raises(DataError, match="no column of image paths is recognised among x, p, q, r"):
        read_csv(flags)


def test_splits(root: Path) -> None:
    text = "image,label,split\na,x,train\nb,y,train\nc,x,valid\nd,y,valid\ne,x,test\nf,y,test\n"
    parts = splits(write(root, text))
    assert {name: list(rows(part)) for name, part in parts.items()} == {
        "train": ["a", "b"],
        "val": ["c", "d"],
        "test": ["e", "f"],
    }
    (root / "list.csv").unlink()
    write(root, "image,label\na,x\nb,y\n", "train.csv")
    write(root, "image,label\nc,y\n", "val.csv")
    write(root, "image\nd\n", "test.csv")  # as contests give it, without labels
    train, val = open_data(root, kind="classification")
    assert (list(rows(train)), list(rows(val))) == (["a", "b"], ["c"])
    write(root, "image,label\nc,y\nd,zebra\n", "val.csv")
    with pytest.raises(DataError, match=r"has 1 images of zebra, unknown to the training data"):
        open_data(root, kind="classification")


def test_bad_rows_are_left_out_with_their_line(root: Path) -> None:
    (root / "images" / "f.png").write_bytes(b"broken")
    write_image(root / "more" / "e.png")
    text = (
        "image,label\na.png,cat\n,dog\nb.png,\nzz.png,cat\na.png,dog\n../x.png,cat\nf.png,cat\ne.png,dog\nc.png,dog\n"
    )
    source = read_csv(write(root, text))
    assert rows(source) == {"a": ["cat"], "c": ["dog"]}
    told = {p.record or Path(p.file).name: p.problem for p in source.problems}
    assert told.pop("f.png").startswith("is damaged or not an image")
    assert told == {
        "line 3": "names no image",
        "line 4": "has no label",
        "line 5": "'zz.png' is not there",
        "line 6": "images/a.png stands in line 2 already",
        "line 7": f"'../x.png' lies outside the folder of the images, {root}; say which it is with root=",
        "line 9": "'e.png' is the name of 2 files",
    }
    flags = read_csv(write(root, "image,p,q\na,1,0\nb,1,maybe\n"), label=["p", "q"])
    assert [str(p.problem) for p in flags.problems] == ["q is 'maybe', where 0, 1 or nothing should stand"]


def test_the_folder_of_the_images_may_lie_elsewhere(root: Path) -> None:
    (root / "lists").mkdir()
    file = write(root / "lists", f"image,label\n{root}/images/a.png,x\nb,y\n")
    source = read_csv(file, root=root / "images")
    assert rows(source) == {"a": ["x"], "b": ["y"]}


def test_classes_txt_decides(root: Path) -> None:
    (root / "classes.txt").write_text("dog\ncat\n")
    source = read_csv(write(root, "id,label\na,cat\nb,dgo\nc,dog\n"))
    assert source.classes == ("dog", "cat")
    assert rows(source) == {"a": ["cat"], "c": ["dog"]}
    assert [str(p) for p in source.problems] == [
        f"{root / 'list.csv'}, line 3: 'dgo' is not in classes.txt; did you mean dog? (row left out)"
    ]
    assert rows(read_csv(write(root, "id,label\na,1\nb,0\n"))) == {"a": ["cat"], "b": ["dog"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; write one row an image"),
        (b"image,label\n", "no image is left to use"),
        (b"image,label\na,x\nb,x\n", "all images are of one class, 'x'"),
        (b"image,label\nq,x\nr,y\n", r"(?s)no image is left to use\n  .*line 2: 'q' is not there \(row left out\)"),
        (b"image,label\na,\xff\n", "cannot be read .*save it as UTF-8 text"),
        (b"image,tags\na,\nb,\n", "no image is left to use"),
        (b"one,two\n1,2\n", "no column of image paths is recognised among one, two"),
    ],
)
def test_lists_that_cannot_be_used(root: Path, content: bytes, message: str) -> None:
    (root / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_data(root / "list.csv", kind="classification")
    assert str(root / "list.csv") in str(caught.value)


def test_tables_that_are_no_lists_are_passed_over(root: Path) -> None:
    write(root, "epoch,loss\n1,2\n", "results.csv")
    assert find_csv(root) == {}
    write(root, "image,label\na,x\nb,y\n", "labels.csv")
    assert list(find_csv(root)) == ["all"]
    write(root, "image,label\na,x\nb,y\n", "again.csv")
    with pytest.raises(DataError, match=r"holds several lists \(again\.csv, labels\.csv\); name the one to read"):
        find_csv(root)
