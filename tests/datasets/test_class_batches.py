"""Batches with labels: right, the same for any number of workers and ranks, and resumable in mid-epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baimu.datasets.class_batches import eval_class_batches, shares_of, smoothed, train_class_batches
from baimu.datasets.formats.csv_list import read_csv
from baimu.datasets.formats.folder import read_folders
from baimu.datasets.formats.idx import read_idx
from baimu.datasets.labels import LabelSource
from baimu.errors import DataError, ImageError
from baimu.preprocess import Preprocess
from baimu.recipes import imagenet_90
from baimu.targets import Batch
from tests.datasets.files import write_classes, write_idx, write_image

SMALL = Preprocess(resize="crop", size=16, pad_to=1)
STRONG = imagenet_90.replace(
    batch_size=4, workers=0, size=16, crop_area=(0.3, 1.0), color_jitter=0.3, auto_augment="rand", random_erasing=0.5,
    mixup_alpha=0.2, cutmix_alpha=1.0, label_smoothing=0.1, vertical_flip=0.5, epochs=3,
)  # fmt: skip
PLAIN = imagenet_90.replace(batch_size=4, workers=0, size=16, crop_area=(1.0, 1.0), flip=0.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LabelSource:
    return read_folders(write_classes(tmp_path_factory.mktemp("classes"), {"a": 6, "b": 7, "c": 5}))


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.indices == b.indices and torch.equal(a.inputs, b.inputs) and torch.equal(a.targets.shares, b.targets.shares)
        for a, b in zip(first, second, strict=True)
    )


def test_a_plain_batch_is_the_images_and_their_labels(source: LabelSource) -> None:
    seen = []
    for batch in train_class_batches(source, SMALL, PLAIN, epoch=0):
        assert batch.inputs.shape == (4, 3, 16, 16)
        assert batch.inputs.dtype == torch.uint8
        assert batch.targets.sizes is None
        assert batch.names == [source.name(i) for i in batch.indices]
        assert batch.targets.shares.argmax(1).tolist() == [int(source.labels(i)[0]) for i in batch.indices]
        assert (batch.targets.shares.sum(1) == 1).all()
        seen += batch.indices
    assert len(seen) == len(set(seen)) == 16
    batches = eval_class_batches(source, SMALL, 4)
    evaluated = {i: image for b in batches for i, image in zip(b.indices, b.inputs, strict=True)}
    assert list(evaluated) == list(range(18))
    for batch in train_class_batches(source, SMALL, PLAIN, epoch=0):
        assert all(torch.equal(image, evaluated[i]) for i, image in zip(batch.indices, batch.inputs, strict=True))


def test_workers_ranks_and_skipping_change_nothing(source: LabelSource) -> None:
    whole = list(train_class_batches(source, SMALL, STRONG, epoch=1))
    assert same(list(train_class_batches(source, SMALL, STRONG.replace(workers=2), epoch=1)), whole)
    assert same(list(train_class_batches(source, SMALL, STRONG, epoch=1, skip=3)), whole[3:])
    assert not same(list(train_class_batches(source, SMALL, STRONG, epoch=2)), whole)
    assert not same(list(train_class_batches(source, SMALL, STRONG.replace(seed=1), epoch=1)), whole)
    ranks = [list(train_class_batches(source, SMALL, STRONG, epoch=1, rank=r, world=2)) for r in range(2)]
    for step, batch in enumerate(whole):
        assert [i for rank in ranks for i in rank[step].indices] == batch.indices
    mine = [[i for b in eval_class_batches(source, SMALL, 4, rank=r, world=4) for i in b.indices] for r in range(4)]
    assert mine == [[*range(r, 18, 4)] for r in range(4)]


def test_global_generators_are_left_alone(source: LabelSource) -> None:
    torch.manual_seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(train_class_batches(source, SMALL, STRONG, epoch=0))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_mixing_stops_in_the_last_epochs(source: LabelSource) -> None:
    recipe = STRONG.replace(label_smoothing=0.0, close_augment_epochs=1, mixup_alpha=1.0, cutmix_alpha=0.0)
    mixed = [bool((b.targets.shares % 1).any()) for b in train_class_batches(source, SMALL, recipe, epoch=1)]
    last = [bool((b.targets.shares % 1).any()) for b in train_class_batches(source, SMALL, recipe, epoch=2)]
    assert any(mixed)
    assert not any(last)


def test_several_labels_and_those_nobody_knows(tmp_path: Path) -> None:
    for name in "abc":
        write_image(tmp_path / f"{name}.png", (8, 8))
    (tmp_path / "list.csv").write_text("image,p,q,r\na,1,1,0\nb,0,,1\nc,0,0,0\n")
    shares = shares_of(read_csv(tmp_path / "list.csv"), [0, 1, 2])
    assert shares.tolist() == [[1, 1, 0], [0, -1, 1], [0, 0, 0]]
    expected = np.float32([[0.9, 0.9, 0.1], [0.1, -1, 0.9], [0.1, 0.1, 0.1]])
    np.testing.assert_allclose(smoothed(shares, 0.2, multi_label=True), expected)
    np.testing.assert_allclose(smoothed(np.float32([[0, 1, 0, 0]]), 0.2, multi_label=False), [[0.05, 0.85, 0.05, 0.05]])


def test_images_as_they_are_must_have_one_size(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [0, 1, 1, 0])
    plain, recipe = Preprocess(resize="none", pad_to=1), PLAIN.replace(resize="none", crop_padding=1)
    (batch,) = train_class_batches(read_idx(tmp_path / "train-images-idx3-ubyte"), plain, recipe, epoch=0)
    assert batch.inputs.shape == (4, 3, 6, 5)
    write_image(tmp_path / "two" / "a" / "1.png", (6, 5))
    write_image(tmp_path / "two" / "b" / "2.png", (6, 7))
    with pytest.raises(DataError, match=r"2\.png: is 7x6, .*1\.png is 5x6, and a batch has one size; take resize=crop"):
        list(eval_class_batches(read_folders(tmp_path / "two"), plain, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_stops_with_its_name(tmp_path: Path, workers: int) -> None:
    root = write_classes(tmp_path, {"a": 2, "b": 2})
    file = root / "b" / "0.png"
    file.write_bytes(file.read_bytes()[:-200])
    source = read_folders(root)  # its header is whole
    for batches in (
        train_class_batches(source, SMALL, PLAIN.replace(workers=workers), epoch=0),
        eval_class_batches(source, SMALL, 2, workers=workers),
    ):
        with pytest.raises(ImageError) as caught:
            list(batches)
        assert str(caught.value).startswith(str(file))
        assert "Traceback" not in str(caught.value)
