"""Folders of images, of pairs and of two domains: what is recognised, in which order, and what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baimu.datasets.formats.pictures import find_domains, find_halves, find_pairs, find_pictures
from baimu.datasets.kinds import KINDS
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.picture_lists import INPUTS, FilePairs, PictureList
from baimu.datasets.playground_images import DayAndNight, by_night
from baimu.datasets.source import ClassificationSource, ImageSource, PairSource
from baimu.datasets.summary import data
from baimu.errors import DataError, UnknownNameError
from tests.datasets.files import write_image


def folders(root: Path, **counts: int) -> Path:
    """``trainA=3`` is a folder of three images."""
    for name, count in counts.items():
        for i in range(count):
            write_image(root / name.replace("__", "/") / f"{i}.png", (20, 30), seed=hash((name, i)) % 1000)
    return root


def test_a_folder_of_images(tmp_path: Path) -> None:
    folders(tmp_path, some=3, more=2)
    source = find_pictures(tmp_path)["all"]()
    assert isinstance(source, PictureList)
    assert isinstance(source, ImageSource)
    assert len(source) == 5
    assert source.size(0) == (20, 30)
    assert source.image(1).shape == (20, 30, 3)
    assert source.select([4, 0]).name(1) == source.name(0)
    assert find_pictures(tmp_path / "nothing") == {}


def test_splits_of_images_have_div2ks_names_too(tmp_path: Path) -> None:
    folders(tmp_path, DIV2K_train_HR=3, DIV2K_valid_HR=2)
    opened = open_data(tmp_path, kind="images")
    assert (len(opened.train), len(opened.val)) == (3, 2)


def test_an_unreadable_image_is_told(tmp_path: Path) -> None:
    folders(tmp_path, some=2)
    (tmp_path / "some" / "9.png").write_bytes(b"")
    source = find_pictures(tmp_path)["all"]()
    assert len(source) == 2
    assert "is empty" in str(source.problems[0])


@pytest.mark.parametrize(
    "names", [("trainA", "trainB"), ("train_A", "train_B"), ("A__train", "B__train"), ("train__A", "train__B")]
)
def test_pairs_of_folders(tmp_path: Path, names: tuple[str, str]) -> None:
    tests = [name.replace("train", "test") for name in names]
    folders(tmp_path, **dict.fromkeys(names, 3), **dict.fromkeys(tests, 2))
    opened = open_data(tmp_path, kind="image pairs")
    assert (len(opened.train), len(opened.val)) == (3, 2)
    assert isinstance(opened.train, PairSource)
    image, truth = opened.train.pair(1)
    assert not np.array_equal(image, truth)
    assert np.array_equal(image, opened.train.image(1))
    turned = open_data(f"{tmp_path}:from=B", kind="image pairs")
    assert np.array_equal(turned.train.pair(1)[0], truth)
    assert np.array_equal(turned.train.pair(1)[1], image)


def test_pairs_keep_together_and_what_has_no_partner_is_told(tmp_path: Path) -> None:
    folders(tmp_path, A=4, B=3)
    write_image(tmp_path / "B" / "2.jpg", (20, 30))
    (tmp_path / "B" / "2.png").unlink()  # another suffix is the same name
    source = find_pairs(tmp_path)["all"]()
    assert isinstance(source, FilePairs)
    assert [Path(source.name(i)).stem for i in range(3)] == ["0", "1", "2"]
    assert "3.png: has no partner" in str(source.problems[0])
    part = source.select([2, 0])
    for own, whole in ((0, 2), (1, 0)):
        assert all(np.array_equal(x, y) for x, y in zip(part.pair(own), source.pair(whole), strict=True))
    both = source.select([0]).joined(source.select([1, 2]))
    assert all(np.array_equal(x, y) for i in range(3) for x, y in zip(both.pair(i), source.pair(i), strict=True))


def test_class_folders_that_are_named_with_letters_are_no_pairs(tmp_path: Path) -> None:
    folders(tmp_path, A=2, B=2, C=2)
    assert find_pairs(tmp_path) == {}
    assert isinstance(open_source(tmp_path, kind="classification"), ClassificationSource)


def test_images_twice_as_wide_as_high_are_pairs_of_halves(tmp_path: Path) -> None:
    for i in range(3):
        write_image(tmp_path / "train" / f"{i}.png", (16, 32), seed=i)
    source = find_halves(tmp_path)["train"]()
    whole = find_pictures(tmp_path)["train"]().image(0)
    assert source.size(0) == (16, 16)
    assert np.array_equal(source.pair(0)[0], whole[:, :16])
    assert np.array_equal(source.pair(0)[1], whole[:, 16:])
    other = open_source(f"{tmp_path}:from=right", "train", kind="image pairs")
    assert np.array_equal(other.pair(0)[0], whole[:, 16:])
    write_image(tmp_path / "train" / "9.png", (16, 30))
    assert find_halves(tmp_path) == {}


@pytest.mark.parametrize("how", ["grey", "edges"])
def test_inputs_are_made_of_any_images(tmp_path: Path, how: str) -> None:
    opened = open_data(f"{folders(tmp_path, some=5)}:from={how}", kind="image pairs", val_fraction=0.4)
    assert (len(opened.train), len(opened.val)) == (3, 2)
    image, truth = opened.train.pair(0)
    expected, whole = INPUTS[how](truth)
    assert np.array_equal(image, expected)
    assert np.array_equal(truth, whole)
    assert (image[..., 0] == image[..., 2]).all()


def test_fashion_is_a_source_of_pairs(shared: Path) -> None:
    source = open_source(f"{shared}/data/fashion_mnist:from=edges", "test", kind="image pairs")
    assert len(source) == 10_000
    assert source.pair(3)[1].shape == (28, 28, 3)


def test_domains(tmp_path: Path) -> None:
    folders(tmp_path, trainA=3, trainB=5, testA=2, testB=1)
    opened = open_data(tmp_path, kind="image domains")
    assert opened.train.classes == ("A", "B")
    assert [int(opened.train.labels(i)[0]) for i in range(8)] == [0] * 3 + [1] * 5
    assert len(opened.val) == 3
    assert find_domains(tmp_path / "trainA") == {}


def test_two_class_folders_are_domains_and_three_are_not(tmp_path: Path) -> None:
    folders(tmp_path, horse=5, zebra=5)
    opened = open_data(tmp_path, kind="image domains")
    assert opened.train.classes == ("horse", "zebra")
    assert {int(opened.val.labels(i)[0]) for i in range(len(opened.val))} == {0, 1}
    folders(tmp_path, cow=2)
    with pytest.raises(DataError, match=r"holds the classes cow, horse, zebra; what is translated are two domains"):
        open_data(tmp_path, kind="image domains")


def test_wrong_inputs_are_answered(tmp_path: Path) -> None:
    folders(tmp_path, A=2, B=2)
    with pytest.raises(UnknownNameError, match=r"unknown input of .* 'C'"):
        open_data(f"{tmp_path}:from=C", kind="image pairs")
    with pytest.raises(DataError, match="holds no folders X and its partner; from= is one of grey, edges, left, right"):
        open_data(f"{tmp_path / 'A'}:from=X", kind="image pairs")
    with pytest.raises(DataError, match=r"(?s)is no data set that can be recognised; looked for.*from=grey"):
        open_data(tmp_path / "A", kind="image pairs")


def test_without_a_kind_images_are_the_last_guess(tmp_path: Path) -> None:
    folders(tmp_path / "loose", **{"": 2})
    assert isinstance(splits(tmp_path / "loose")["all"], PictureList)
    folders(tmp_path / "pairs", trainA=2, trainB=2)
    assert isinstance(splits(tmp_path / "pairs")["train"], FilePairs)
    folders(tmp_path / "classes", cat=2, dog=2)
    assert isinstance(splits(tmp_path / "classes")["all"], ClassificationSource)
    with pytest.raises(DataError, match="is no data set that can be recognised"):
        open_data(tmp_path / "loose", kind="detection")


def test_the_summary_counts_images_and_sizes(tmp_path: Path) -> None:
    said = str(data(f"{folders(tmp_path, some=3)}:from=grey"))
    rows = [line.split() for line in said.splitlines()]
    assert ["images", "3"] in rows
    assert ["commonest", "size", "30x20", "(100%)"] in rows
    assert "objects" not in said


@pytest.mark.parametrize("kind", ["image pairs", "image domains", "images"])
def test_the_playground_draws_all_kinds(kind: str) -> None:
    opened = open_data("playground:train=4,val=3,size=32", kind=kind)
    each = 2 if kind == "image domains" else 1
    assert (len(opened.train), len(opened.val)) == (4 * each, 3 * each)
    assert isinstance(opened.train, KINDS[kind].source)
    again = open_data("playground:train=4,val=3,size=32", kind=kind)
    assert np.array_equal(opened.train.image(3), again.train.image(3))
    part = opened.train.select([3, 1])
    assert np.array_equal(part.image(0), opened.train.image(3))
    assert part.name(1) == opened.train.name(1)


def test_maps_have_a_colour_for_each_class() -> None:
    source = open_data("playground:train=6,val=1,size=48", kind="image pairs").train
    image, scene = source.pair(2)
    assert image.shape == scene.shape == (48, 48, 3)
    colours = {tuple(c) for i in range(6) for c in source.image(i).reshape(-1, 3).tolist()}
    assert 3 < len(colours) <= 13


def test_night_is_another_place_and_a_function_of_each_pixel() -> None:
    source = open_data("playground:train=3,val=1,size=32", kind="image domains").train
    assert isinstance(source, DayAndNight)
    assert [int(source.labels(i)[0]) for i in range(6)] == [0, 0, 0, 1, 1, 1]
    assert len({source.image_id(i) for i in range(6)}) == 6
    day = source.scenes.image(4)
    assert np.array_equal(source.image(4), by_night(day))
    assert by_night(day).mean() < 0.8 * day.mean()
    colours = np.random.default_rng(0).integers(0, 256, (9, 1, 3), np.uint8)
    assert np.array_equal(by_night(colours)[4], by_night(colours[4:5])[0])
