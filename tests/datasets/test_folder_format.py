"""Class folders are read as torchvision reads them, splits are found or drawn evenly, and what is strange is told."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from baimu.datasets.formats.folder import read_folders
from baimu.datasets.labels import LabelSource, stratified
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.source import ClassificationSource, DetectionSource, Splits
from baimu.errors import DataError, ImageError
from tests.datasets.files import voc_object, write_classes, write_image, write_voc


def names(source: ClassificationSource) -> list[str]:
    return [source.classes[int(source.labels(i)[0])] for i in range(len(source))]


def test_it_reads_what_torchvision_reads(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"dog": 3, "cat": 2, "Ant": 1, "dog/young": 2})
    ours, theirs = read_folders(root), ImageFolder(str(root))
    assert isinstance(ours, ClassificationSource)
    assert not isinstance(ours, DetectionSource)
    assert list(ours.classes) == theirs.classes == ["Ant", "cat", "dog"]
    pairs = {(ours.name(i), int(ours.labels(i)[0])) for i in range(len(ours))}
    assert pairs == set(theirs.samples)
    assert (ours.size(0), ours.image(0).shape, ours.image_id(0)) == ((20, 24), (20, 24, 3), "Ant/0.png")
    assert not ours.multi_label
    assert len(ours.unknown(0)) == len(ours.problems) == 0


def test_splits_are_found(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train/a": 4, "train/b": 3, "Valid/b": 1, "Valid/a": 2, "test/b": 2})
    train, val = open_data(tmp_path, kind="classification")
    assert (len(train), len(val), train.classes, val.classes) == (7, 3, ("a", "b"), ("a", "b"))
    assert list(splits(tmp_path)) == ["train", "val", "test"]
    assert len(open_source(tmp_path, "test", kind="classification")) == 2
    assert sum(map(len, open_data(tmp_path, kind="classification", val_fraction=0.4))) == 12
    shutil.rmtree(tmp_path / "Valid")
    assert names(open_data(tmp_path, kind="classification").val) == ["b", "b"]  # of one class, which is enough here


def test_a_made_split_has_its_share_of_every_class(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"a": 20, "b": 10, "c": 5, "d": 1}, size=(2, 2))
    train, val = open_data(root, kind="classification", seed=3)
    assert Counter(names(val)) == {"a": 4, "b": 2, "c": 1}
    ids = [{source.image_id(i) for i in range(len(source))} for source in (train, val)]
    assert len(ids[0] | ids[1]) == 36
    assert not ids[0] & ids[1]
    again = open_data(root, kind="classification", seed=3).val
    assert {again.image_id(i) for i in range(len(again))} == ids[1]
    others = [open_data(root, kind="classification", seed=s).val for s in range(6)]
    assert len({tuple(o.image_id(i) for i in range(len(o))) for o in others}) == 6


def test_the_rarest_of_several_labels_decides_the_split() -> None:
    """20 images of label 0, five of them of label 1 too: a fifth of each."""

    class Several:
        classes, multi_label = ("common", "rare"), True

        def __len__(self) -> int:
            return 20

        def labels(self, index: int) -> np.ndarray:
            return np.array([0, 1] if index % 4 == 0 else [0])

    first, second = stratified(Several(), 4, seed=0)  # pyright: ignore[reportArgumentType]
    assert sorted([*first, *second]) == list(range(20))
    assert sum(i % 4 == 0 for i in second.tolist()) == 1


def test_subsets_and_joined_sets_keep_labels_and_problems(tmp_path: Path) -> None:
    write_classes(tmp_path, {"one/a": 2, "one/b": 1, "two/b": 2, "two/a": 1})
    (tmp_path / "two" / "b" / "notes.txt").write_text("x")
    one, two = (read_folders(tmp_path / part) for part in ("one", "two"))
    both = one.joined(two)
    assert names(both) == ["a", "a", "b", "a", "b", "b"]
    assert [Path(both.name(i)).relative_to(tmp_path).as_posix() for i in (0, 5)] == ["one/a/0.png", "two/b/1.png"]
    some = both.select([5, 0])
    assert names(some) == ["b", "a"]
    assert [p.problem for p in some.problems] == ["holds 1 files that are no images (notes.txt)"]
    np.testing.assert_array_equal(some.image(0), two.image(2))


def test_strange_files_are_told_and_left_out(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"cat": 2, "dog": 2, "empty": 0, ".cache": 1})
    write_image(root / "loose.jpg")
    (root / "README.md").write_text("about")
    (root / "cat" / "Thumbs.db").write_text("x")
    (root / "dog" / "broken.jpg").write_bytes(b"nothing like an image")
    (root / "dog" / "page.png").write_text("<html>gone</html>")
    (root / "cat" / "none.jpg").write_bytes(b"")
    source = read_folders(root)
    assert (source.classes, len(source)) == (("cat", "dog"), 4)
    told = {Path(p.file).name: f"{p.problem} ({p.action})" for p in source.problems}
    assert set(told) == {"loose.jpg", "cat", "broken.jpg", "page.png", "none.jpg", "empty"}
    assert told["loose.jpg"] == "lies in no class folder (image left out)"
    assert told["cat"] == "holds 1 files that are no images (Thumbs.db) (files passed over)"
    assert told["broken.jpg"].startswith("is damaged or not an image")
    assert "web page" in told["page.png"]
    assert "empty (0 bytes)" in told["none.jpg"]
    assert told["empty"] == "holds no image that can be read (class left out)"


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 3}, "all images are of one class, 'cat', and there is nothing to tell apart"),
        ({"cat": 3, "dog": 0}, r"(?s)of one class, 'cat'.*dog: holds no image that can be read \(class left out\)"),
        ({"train/cat": 2, "val/cat": 1}, "train: all images are of one class"),
        ({"cat": 0, "dog": 0}, "is no data set that can be recognised; looked for\n  idx"),
        ({}, "the folder is empty; looked for\n  idx"),
    ],
)
def test_what_cannot_be_learned_from(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    write_classes(tmp_path, counts)
    with pytest.raises(DataError, match=message) as caught:
        open_data(tmp_path, kind="classification")
    assert str(tmp_path) in str(caught.value)
    assert "COCO" not in str(caught.value)


def test_a_class_that_training_lacks_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/cow": 3})
    with pytest.raises(DataError, match=r"val: has 3 images of cow, unknown to the training data .*has a, b"):
        open_data(tmp_path, kind="classification")


def test_only_pixels_can_still_be_broken_when_an_image_is_read(tmp_path: Path) -> None:
    root = write_classes(tmp_path, {"a": 1, "b": 1})
    file = write_image(root / "a" / "cut.jpg", (64, 64))
    file.write_bytes(file.read_bytes()[:-400])
    source = read_folders(root)
    with pytest.raises(ImageError, match=r"cut\.jpg: damaged or truncated .*replace the file or remove it"):
        source.image(1)


def test_unusual_names_and_pixels(tmp_path: Path) -> None:
    """Paths beyond ASCII, 16 bits, CMYK, and a photograph that stands on its side."""
    root = write_classes(tmp_path / "数据 ünï", {"猫 ő": 1, "пёс": 1})
    Image.fromarray(np.full((4, 6), 65535, np.uint16)).save(root / "猫 ő" / "sixteen.png")
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(root / "猫 ő" / "ink.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(root / "пёс" / "turned.jpg", exif=exif)
    train = read_folders(root)
    assert train.classes == ("пёс", "猫 ő")
    found = {Path(train.name(i)).name: i for i in range(len(train))}
    assert (train.image(found["sixteen.png"]) == 255).all()
    red, green, blue = train.image(found["ink.jpg"])[0, 0].tolist()
    assert red > 200
    assert max(green, blue) < 60
    assert train.size(found["turned.jpg"]) == train.image(found["turned.jpg"]).shape[:2] == (6, 4)


def test_each_kind_of_data_is_told_from_the_other(tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", "a", [voc_object("cat", (1, 1, 9, 9))])
    with pytest.raises(DataError, match=r"voc: is a data set for detection, and this model is for classification"):
        open_data(tmp_path / "voc", kind="classification")
    write_classes(tmp_path / "classes", {"a": 1, "b": 1})
    with pytest.raises(DataError, match=r"is a data set for classification, and this model is for detection"):
        open_data(tmp_path / "classes")
    source = read_folders(tmp_path / "classes")
    with pytest.raises(DataError, match="is no data set for detection"):
        open_data(Splits(source, source))
    with pytest.raises(DataError, match="playground: has nothing for classification"):
        open_data("playground", kind="classification")


def test_the_hand_signs(shared: Path) -> None:
    train, val = open_data(shared / "data" / "sign_digits", kind="classification")
    assert isinstance(train, LabelSource)
    assert (len(train), len(val)) == (1650, 412)
    assert set(Counter(names(val)).values()) <= {40, 41, 42}
    assert len(train.problems) == 0
