"""Identities: formats, subsets, unseen ones set aside, P x K batches, and the playground's characters."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baimu.datasets.characters import Characters
from baimu.datasets.formats import omniglot
from baimu.datasets.formats.omniglot import read_omniglot
from baimu.datasets.identities import Identities, unseen
from baimu.datasets.identity_batches import eval_identity_batches, identity_lists, ids_of, train_identity_batches
from baimu.datasets.open import open_data, open_source, splits
from baimu.datasets.source import IdentitySource, Splits
from baimu.datasets.summary import data
from baimu.errors import BaimuError, DataError, ImageError
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from tests.datasets.files import write_classes, write_image

SMALL = Preprocess(resize="stretch", size=16, width=8, pad_to=1)
PLAIN = Recipe(batch_size=8, images_per_identity=4, workers=0, crop_area=(1.0, 1.0), flip=0.0)


def opened(path: Path) -> Any:
    return open_source(path, kind="embedding")


def folders(root: Path, **counts: int) -> Path:
    return write_classes(root, counts)


def lfw(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for i in range(count):
            write_image(root / name / f"{name}_{i + 1:04d}.jpg", seed=i)
    return root


def test_folders_are_identities(tmp_path: Path) -> None:
    source = opened(folders(tmp_path / "faces", ann=3, bob=2))
    assert isinstance(source, IdentitySource)
    assert source.classes == ("ann", "bob")
    assert [source.shown(i).identity for i in range(5)] == [0, 0, 0, 1, 1]
    assert all(source.shown(i)[1:] == (-1, True, True) for i in range(5))
    assert "Identities" in repr(source)
    assert source.image(0).shape[2] == 3


def test_a_subset_numbers_its_identities_anew(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, ann=2, bob=2, cid=2))
    part = source.select([5, 2])
    assert part.classes == ("bob", "cid")
    assert [part.shown(i).identity for i in range(2)] == [1, 0]
    assert part.name(0) == source.name(5)


def test_unseen_identities_are_held_out(tmp_path: Path) -> None:
    path = folders(tmp_path, **{f"p{i}": 3 for i in range(10)})
    train, val = open_data(path, kind="embedding", val_fraction=0.3, seed=1)
    assert len(val) == 9
    assert not set(train.classes) & set(val.classes)
    assert len(train) + len(val) == 30
    again = open_data(path, kind="embedding", val_fraction=0.3, seed=1)
    assert again.val.classes == val.classes
    assert open_data(path, kind="embedding", val_fraction=0.3, seed=2).val.classes != val.classes


def test_at_least_two_are_held_out_and_one_group_learned(tmp_path: Path) -> None:
    source = opened(folders(tmp_path, a=3, b=3, c=3))
    train, val = unseen(source, 1, 0)
    assert len(val) == 6
    assert len(train) == 3
    with pytest.raises(DataError, match="shows fewer than two identities"):
        open_data(tmp_path, kind="embedding", val_fraction=0.1)


def test_splits_in_the_data_may_share_nobody(tmp_path: Path) -> None:
    folders(tmp_path / "train", ann=2, bob=2)
    folders(tmp_path / "test", cid=2, dan=2)
    found = open_data(tmp_path, kind="embedding")
    assert (found.train.classes, found.val.classes) == (("ann", "bob"), ("cid", "dan"))
    whole = open_data(tmp_path, kind="embedding", val_fraction=0.5)
    assert len(whole.train) + len(whole.val) == 8


def test_joined_identities_of_one_name_are_one(tmp_path: Path) -> None:
    first = opened(folders(tmp_path / "a", ann=2, bob=1))
    second = opened(folders(tmp_path / "b", bob=2, cid=1))
    whole = first.joined(second)
    assert whole.classes == ("ann", "bob", "cid")
    assert ids_of(whole).tolist() == [0, 0, 1, 1, 1, 2]
    assert whole.image(5).tolist() == second.image(2).tolist()


def test_lists_and_other_kinds(tmp_path: Path) -> None:
    folders(tmp_path / "img", ann=2, bob=2)
    rows = [f"img/{n}/{p.name},{n}" for n in ("ann", "bob") for p in sorted((tmp_path / "img" / n).iterdir())]
    (tmp_path / "list.csv").write_text("image,label\n" + "\n".join(rows))
    assert opened(tmp_path / "list.csv").classes == ("ann", "bob")
    assert type(splits(tmp_path / "img")["all"]).__name__ == "LabelSource", "without a kind they are classes"
    source = open_source(tmp_path / "img", kind="classification")
    with pytest.raises(DataError, match="is no data set for embedding"):
        open_data(Splits(source, source), kind="embedding")


# LFW's pairs


def test_pairs_of_lfw(tmp_path: Path) -> None:
    root = lfw(tmp_path / "lfw", Ann=3, Bob=2)
    (tmp_path / "pairs.txt").write_text("2\t1\nAnn\t1\t3\nAnn\t2\tBob\t1\nBob\t1\t2\nBob\t2\tAnn\t1\n")
    source = opened(root)
    assert source.pairs is not None
    assert source.pairs.same.tolist() == [True, False, True, False]
    assert source.pairs.fold.tolist() == [0, 0, 1, 1]
    assert [Path(source.name(i)).stem for i in source.pairs.first] == ["Ann_0001", "Ann_0002", "Bob_0001", "Bob_0002"]
    assert [Path(source.name(i)).stem for i in source.pairs.second] == ["Ann_0003", "Bob_0001", "Bob_0002", "Ann_0001"]
    part = source.select([0, 2, 3])
    assert part.pairs is not None
    assert (part.pairs.first.tolist(), part.pairs.second.tolist()) == ([0], [1])
    assert source.select([0]).pairs is None


def test_pairs_by_their_paths(tmp_path: Path) -> None:
    root = lfw(tmp_path, Ann=2, Bob=1)
    (root / "pairs.txt").write_text("Ann/Ann_0001.jpg,Ann/Ann_0002.jpg,1\nAnn/Ann_0001.jpg,Bob/Bob_0001.jpg,0\n")
    pairs = opened(root).pairs
    assert pairs.same.tolist() == [True, False]
    assert pairs.fold.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann 1 9\n", r"line 1: there is no image Ann/Ann_0009"),
        ("Ann 1\n", r"line 1: 'Ann 1' is no pair"),
        ("", "names no pair"),
        ("1 1\nAnn 1 2\nAnn 1 2\nAnn 1 2\n", "has 3 pairs, but its first line says 1 folds of 2"),
    ],
)
def test_wrong_pairs_are_named(tmp_path: Path, text: str, message: str) -> None:
    (lfw(tmp_path, Ann=2, Bob=1) / "pairs.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


# Persons


def market(root: Path) -> Path:
    for folder, names in {
        "bounding_box_train": ["0002_c1s1_000451_03", "0002_c2s1_000451_03", "0007_c3s3_1_1"],
        "bounding_box_test": ["-1_c1s1_1_1", "0000_c1s1_1_1", "0001_c1s1_1_1", "0001_c2s1_1_1"],
        "query": ["0001_c1s2_9_0"],
    }.items():
        for i, name in enumerate(names):
            write_image(root / folder / f"{name}.jpg", (12, 6), seed=i)
    (root / "bounding_box_test" / "Thumbs.db").write_text("")
    return root


def test_market(tmp_path: Path) -> None:
    train, test = open_data(market(tmp_path), kind="embedding")
    assert train.classes == ("0002", "0007")
    assert [train.shown(i).camera for i in range(3)] == [1, 2, 3]
    assert test.classes == ("0000", "0001")
    assert [test.shown(i)[1:] for i in range(4)] == [
        (1, False, True), (1, False, True), (2, False, True), (1, True, False),
    ]  # fmt: skip
    assert any("1 images show nobody rightly" in str(p) for p in test.problems)
    text = str(data(str(tmp_path)))
    assert "queries / gallery" in text
    assert "1 / 3" in text


def test_persons_without_splits(tmp_path: Path) -> None:
    for i in range(20):
        write_image(tmp_path / f"{i // 4:04d}_c{i % 4}.jpg", (12, 6), seed=i)
    write_image(tmp_path / "readme.jpg", (12, 6))
    source = opened(tmp_path)
    assert len(source) == 20
    assert len(source.classes) == 5
    assert any("readme.jpg" in str(p) for p in source.problems)


# Omniglot


def drawings(*characters: str) -> list[str]:
    return [f"{name}/{i:04d}_{j:02d}.png" for i, name in enumerate(characters) for j in range(2)]


def zipped(file: Path, members: list[str]) -> Path:
    image = write_image(file.parent / "x.png", (10, 10))
    with zipfile.ZipFile(file, "w") as archive:
        for member in members:
            archive.write(image, f"{file.stem}/{member}")
    image.unlink()
    return file


def test_omniglot_as_it_is_published(tmp_path: Path) -> None:
    zipped(tmp_path / "images_background.zip", drawings("Greek/character01", "Greek/character02", "Latin/character01"))
    zipped(tmp_path / "images_evaluation.zip", drawings("Oriya/character01", "Oriya/character02"))
    train, val = open_data(tmp_path, kind="embedding")
    assert train.classes == ("Greek/character01", "Greek/character02", "Latin/character01")
    assert train.groups == ("Greek", "Greek", "Latin")
    assert val.classes == ("Oriya/character01", "Oriya/character02")
    assert train.image(0).shape == (10, 10, 3)
    assert "images_background.zip/images_background/Greek/character01/0000_00.png" in train.name(0)


def test_small_sets_are_taken_once_and_alphabets_held_out(tmp_path: Path) -> None:
    zipped(tmp_path / "images_background_small1.zip", drawings("Greek/character01", "Greek/character02"))
    zipped(
        tmp_path / "images_background_small2.zip",
        drawings("Greek/character01", "Greek/character02", "Thai/character01", "Thai/character02"),
    )
    whole = opened(tmp_path)
    assert len(whole) == 8
    assert any("4 drawings are in images_background_small1.zip too" in str(p) for p in whole.problems)
    train, val = open_data(tmp_path, kind="embedding", val_fraction=0.2)
    assert set(train.groups).isdisjoint(val.groups)
    batches = list(eval_identity_batches(whole, SMALL, 3, workers=2))
    assert [len(b) for b in batches] == [3, 3, 2]


def test_omniglot_s_folders(tmp_path: Path) -> None:
    for member in drawings("Greek/character01", "Latin/character01"):
        write_image(tmp_path / "images_background" / member, (9, 9))
    assert opened(tmp_path).groups == ("Greek", "Latin")
    assert type(splits(tmp_path)["all"]) is Identities, "Omniglot is known without being asked for"


def test_omniglot_s_bad_files(tmp_path: Path) -> None:
    file = zipped(tmp_path / "images_background.zip", drawings("Greek/character01"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("images_background/Greek/character02/1.png", b"no image")
    source = opened(tmp_path)
    assert len(source) == 2
    assert any("character02/1.png" in str(p) for p in source.problems)
    with pytest.raises(DataError, match="no drawing"):
        read_omniglot((zipped(tmp_path / "images_evaluation.zip", ["a/b.txt"]),))
    damaged = read_omniglot((file,))
    file.write_bytes(file.read_bytes()[:-30])
    omniglot._opened.cache_clear()
    with pytest.raises(ImageError, match=r"images_background\.zip: cannot be read any more"):
        damaged.image(0)


# Batches


def test_p_identities_with_k_images() -> None:
    ids = np.repeat(np.arange(10), 7)
    lists = identity_lists(ids, PLAIN, epoch=0)
    assert len(lists) == 70 // 8
    for batch in lists:
        owners = ids[batch].reshape(2, 4)
        assert (owners == owners[:, :1]).all()
        assert owners[0, 0] != owners[1, 0]
        assert len(set(batch)) == 8
    assert lists == identity_lists(ids, PLAIN, epoch=0)
    assert lists != identity_lists(ids, PLAIN, epoch=1)
    assert lists[3:] == identity_lists(ids, PLAIN, epoch=0, skip=3)


def test_handfuls_are_not_repeated_before_all_are_drawn() -> None:
    lists = identity_lists(np.repeat(np.arange(4), 8), PLAIN, epoch=0)
    assert sorted(i for batch in lists for i in batch) == list(range(32))


def test_ranks_see_other_identities_of_the_same_draw() -> None:
    ids = np.repeat(np.arange(10), 8)
    whole = identity_lists(ids, PLAIN.replace(batch_size=16), epoch=0)
    ranks = [identity_lists(ids, PLAIN.replace(batch_size=16), epoch=0, rank=r, world=2) for r in (0, 1)]
    for both, first, second in zip(whole, *ranks, strict=True):
        assert both == first + second
        assert not set(ids[first]) & set(ids[second])


def test_few_images_and_few_identities() -> None:
    ids = np.array([0, 0, 1, 1, 1, 1, 1, -1])
    lists = identity_lists(ids, PLAIN.replace(batch_size=16), epoch=0)
    (batch,) = lists
    owners = ids[batch].reshape(4, 4)
    assert (owners == owners[:, :1]).all()
    assert set(owners[:, 0]) == {0, 1}
    assert -1 not in owners
    with pytest.raises(BaimuError, match="multiple of images_per_identity=3"):
        identity_lists(ids, PLAIN.replace(images_per_identity=3), epoch=0)
    with pytest.raises(DataError, match="shows no identity"):
        identity_lists(np.array([-1, -1]), PLAIN, epoch=0)


def test_batches_hold_images_and_ids() -> None:
    source = Characters(range(5), 6, 20)
    (batch, *_), again = train_identity_batches(source, SMALL, PLAIN, epoch=0), None
    assert batch.inputs.shape == (8, 3, 16, 8), "height and width of the recipe"
    assert batch.targets.ids.tolist() == [source.shown(i).identity for i in batch.indices]
    assert batch.targets.sizes is None
    again = next(iter(train_identity_batches(source, SMALL, PLAIN.replace(workers=2), epoch=0)))
    assert torch.equal(batch.inputs, again.inputs)
    shuffled = next(iter(train_identity_batches(source, SMALL, PLAIN.replace(images_per_identity=1), epoch=0)))
    assert len(set(shuffled.indices)) == 8
    found = [i for b in eval_identity_batches(source, SMALL, 4, rank=1, world=2) for i in b.indices]
    assert found == list(range(1, 30, 2))


def test_an_image_that_is_there_twice_is_augmented_twice() -> None:
    source = Characters(range(2), 1, 32)
    recipe = PLAIN.replace(crop_area=(0.3, 0.6))
    batch = next(iter(train_identity_batches(source, SMALL.replace(width=None), recipe, epoch=0)))
    assert len(set(batch.indices)) == 2
    same = [i for i, index in enumerate(batch.indices) if index == batch.indices[0]]
    assert not torch.equal(batch.inputs[same[0]], batch.inputs[same[1]])


# Characters


def test_characters_are_the_same_whatever_else_is_drawn() -> None:
    few, many = Characters(range(3), 4, 24), Characters(range(9), 4, 24)
    assert np.array_equal(few.image(7), many.image(7))
    assert not np.array_equal(few.image(7), Characters(range(3), 4, 24, seed=1).image(7))
    assert few.image(0).shape == (24, 24, 3)
    part = many.select([9, 30])
    assert part.classes == ("character 2", "character 7")
    assert [part.shown(i).identity for i in range(2)] == [0, 1]
    assert np.array_equal(part.image(1), many.image(30))
    assert part.name(0) == many.name(9)


def test_characters_on_the_command_line() -> None:
    train, val = open_data("playground:train=4,val=3,images=5,size=20", kind="embedding")
    assert (len(train), len(val), train.size(0)) == (20, 15, (20, 20))
    assert not set(train.classes) & set(val.classes)
