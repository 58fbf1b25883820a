"""idx files: equal to the arrays they were written from, and each way in which they can be wrong is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from baimu.datasets.formats.idx import find_idx, read_array, read_idx
from baimu.datasets.open import open_data, splits
from baimu.errors import DataError
from tests.datasets.files import idx_bytes, write_idx


def test_pairs_are_found_and_read(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [2, 0, 1, 1])
    write_idx(tmp_path, "t10k", [1, 0])
    (tmp_path / "classes.txt").write_text("shirt\ncoat\nb a g\n", encoding="utf-8")
    train, val = open_data(tmp_path, kind="classification")
    assert train.classes == val.classes == ("shirt", "coat", "b a g")
    assert [int(train.labels(i)[0]) for i in range(4)] == [2, 0, 1, 1]
    assert (train.size(3), train.image(3).shape, train.image(3).max()) == ((6, 5), (6, 5, 3), 3)
    assert train.name(3) == f"{tmp_path / 'train-images-idx3-ubyte'}, image 3"
    assert list(splits(tmp_path)) == ["train", "test"]
    assert open_data(tmp_path, kind="classification", val_fraction=0.5).train.classes == train.classes


def test_compressed_colour_and_one_file_alone(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3, 3), np.uint8)
    images = tmp_path / "emnist-letters-train-images-idx3-ubyte.gz"
    images.write_bytes(gzip.compress(idx_bytes(pixels)))
    (tmp_path / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(6) % 3, kind=12))
    assert list(find_idx(tmp_path)) == ["train"]
    source = read_idx(images)
    assert source.classes == ("0", "1", "2")
    picked = source.select([4, 2])
    np.testing.assert_array_equal(picked.image(0), pixels[4])
    assert picked.image_id(0) == 4
    joined = picked.joined(source)
    np.testing.assert_array_equal(joined.image(0), pixels[4])
    np.testing.assert_array_equal(joined.image(7), pixels[5])
    assert len(open_data(images, kind="classification").val) == 1


def broken(root: Path, images: bytes | None = None, labels: bytes | None = None) -> Path:
    """A right pair of files, of which some are replaced."""
    write_idx(root, "train", [0, 1, 1])
    if images is not None:
        (root / "train-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (root / "train-labels-idx1-ubyte").write_bytes(labels)
    return root / "train-images-idx3-ubyte"


GOOD = idx_bytes(np.zeros((3, 6, 5)))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"\x89PNG" + GOOD, None, r"images-idx3-ubyte: is no idx file of whole numbers: it begins with 89 50 4e 47"),
        (b"", None, "begins with nothing"),
        (GOOD[:-1], None, r"is damaged or cut off: its header says 3 x 6 x 5 = 90 bytes, and there are 89"),
        (GOOD + b"x", None, r"= 90 bytes, and there are more; download it again"),
        (GOOD[:7], None, "is cut off in its header"),
        (b"\0\0\x0d\x03" + GOOD[4:], None, "no idx file of whole numbers"),
        (idx_bytes(np.zeros((3, 6))), None, r"holds uint8 numbers of shape \(3, 6\); images are uint8"),
        (idx_bytes(np.zeros((3, 6, 5)), kind=12), None, "holds int32 numbers"),
        (idx_bytes(np.zeros((0, 6, 5))), None, "holds no image"),
        (None, idx_bytes(np.zeros(4)), r"labels-idx1-ubyte: holds 4 labels for the 3 images of train-images"),
        (None, idx_bytes(np.zeros((3, 1))), "holds 3 x 1 labels"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, images: bytes | None, labels: bytes | None, message: str) -> None:
    file = broken(tmp_path, images, labels)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(file)
    assert str(tmp_path) in str(caught.value)


def test_a_size_that_no_file_has_costs_no_memory(tmp_path: Path) -> None:
    head = bytes([0, 0, 8, 3]) + np.array([2**31, 2**31, 2**31], ">u4").tobytes()
    with pytest.raises(DataError, match="and there are 5"):
        read_array_of(tmp_path / "x", head + b"12345")
    with pytest.raises(DataError, match="cannot be read"):
        read_array_of(tmp_path / "x.gz", gzip.compress(GOOD)[:-9])


def read_array_of(file: Path, content: bytes) -> np.ndarray:
    file.write_bytes(content)
    return read_array(file)


def test_names_and_labels_must_agree(tmp_path: Path) -> None:
    file = broken(tmp_path)
    (tmp_path / "classes.txt").write_text("only\n")
    with pytest.raises(DataError, match=r"idx1-ubyte: label 1 of image 1 is none of the 1 lines of classes\.txt"):
        read_idx(file)
    (tmp_path / "classes.txt").write_text("a\na\n")
    with pytest.raises(DataError, match=r"classes\.txt: names 'a' twice"):
        read_idx(file)
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"its labels are missing; put train-labels-idx1-ubyte beside it"):
        read_idx(file)


def test_a_label_that_training_lacks(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [0, 1, 1])
    write_idx(tmp_path, "t10k", [1, 2])
    with pytest.raises(DataError, match=r"has 1 images of 2, unknown to the training data \(which has 0, 1\)"):
        open_data(tmp_path, kind="classification")


def test_two_data_sets_in_a_folder(tmp_path: Path) -> None:
    write_idx(tmp_path, "letters-train", [0, 1])
    write_idx(tmp_path, "digits-train", [0, 1])
    with pytest.raises(DataError, match=r"two data sets, digits-train-images-idx3-ubyte and letters-train"):
        find_idx(tmp_path)


def test_fashion_mnist(shared: Path) -> None:
    """Counts as its page gives them, the published mean of the test images, and one image of each class looked at."""
    train, val = open_data(shared / "data" / "fashion_mnist", kind="classification")
    assert (len(train), len(val), len(train.classes)) == (20000, 10000, 10)
    counts = np.bincount([int(val.labels(i)[0]) for i in range(10000)])
    assert counts.tolist() == [1000] * 10
    assert train.classes[9] == "Ankle boot"
    assert train.size(0) == (28, 28)
