"""Batches of images with what they are to become: pairs stay pairs, crops are of the reduced image, chance repeats."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.idx import ImageStack
from baimu.datasets.image_batches import (
    TrainCrops,
    TrainDomains,
    TrainPairs,
    eval_image_batches,
    items,
    members,
    reduced,
    resampled,
    train_image_batches,
)
from baimu.datasets.labels import single_labels
from baimu.datasets.picture_lists import DerivedPairs, PictureList
from baimu.errors import DataError
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe

STRETCH = Recipe(resize="stretch", size=16, crop_share=16 / 20, batch_size=2, epochs=2, workers=0)
CROPS = Recipe(resize="none", size=24, batch_size=2, epochs=2, workers=0, crops=3)


def stack(count: int = 4, height: int = 30, width: int = 40) -> ImageStack:
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
    return ImageStack("stack", pixels, np.arange(count))


def pictures(**size: int) -> PictureList:
    return PictureList("stack", stack(**size), ProblemLog().problems())


def grey_pairs() -> DerivedPairs:
    return DerivedPairs("stack", stack(), ProblemLog().problems(), how="grey")


def model(learns_from: str, scale: int = 1, **preprocess: Any) -> Any:
    made = Preprocess(**{"resize": "stretch", "size": 16, "pad_to": 1, **preprocess})
    return SimpleNamespace(learns_from=learns_from, scale=scale, preprocess=made)


def test_both_images_of_a_pair_get_the_same_window_and_flip() -> None:
    source = grey_pairs()
    for recipe in (STRETCH, STRETCH.replace(resize="none", vertical_flip=0.5)):
        maker = TrainPairs(source, Preprocess(), recipe, 0)
        batch = maker.batch([0, 1, 2, 3])
        assert batch.inputs.shape == batch.targets.images.shape == (4, 3, 16, 16)
        luma = torch.tensordot(torch.tensor([0.299, 0.587, 0.114]), batch.targets.images.float(), ([0], [1]))
        assert (batch.inputs[:, 0].float() - luma).abs().max() <= 2  # resizing rounds each by itself


def test_windows_are_random_but_of_seed_epoch_and_index() -> None:
    def first(epoch: int, seed: int = 0) -> torch.Tensor:
        return TrainPairs(grey_pairs(), Preprocess(), STRETCH.replace(seed=seed), epoch).batch([1]).inputs

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    assert not torch.equal(first(3), first(3, seed=1))


def test_smaller_images_are_continued_by_reflection() -> None:
    source = DerivedPairs("stack", stack(height=10, width=12), ProblemLog().problems(), how="grey")
    batch = TrainPairs(source, Preprocess(), STRETCH.replace(resize="none", flip=0), 0).batch([0])
    assert batch.inputs.shape == (1, 3, 16, 16)
    rows = batch.inputs[0, 0]
    assert torch.equal(rows[10:], rows[4:10].flip(0))


def test_crops_are_crops_of_the_reduced_image() -> None:
    source = pictures(height=64, width=96)
    maker = TrainCrops(source, Preprocess(), CROPS.replace(flip=0), 0, scale=4)
    small, places = reduced(source.image(1), 4), set()
    for draw in range(12):
        made, large = maker.crop(1, np.random.default_rng(draw))
        assert made.shape == (6, 6, 3)
        assert large.shape == (24, 24, 3)
        windows = np.lib.stride_tricks.sliding_window_view(small, (6, 6), (0, 1)).transpose(0, 1, 3, 4, 2)
        off = np.abs(windows.astype(int) - made).max((2, 3, 4))
        top, left = np.unravel_index(off.argmin(), off.shape)
        assert off.min() <= 1  # a rounding apart
        assert np.array_equal(source.image(1)[4 * top : 4 * top + 24, 4 * left : 4 * left + 24], large)
        places.add((int(top), int(left)))
    assert len(places) > 6


def test_crops_are_turned_and_flipped_together() -> None:
    source = pictures(height=24, width=24)
    maker = TrainCrops(source, Preprocess(), CROPS.replace(vertical_flip=0.5), 0, scale=2)
    seen = set()
    for draw in range(40):
        small, large = maker.crop(0, np.random.default_rng(draw))
        np.testing.assert_array_equal(small, reduced(np.ascontiguousarray(large), 2))
        seen.add(large.tobytes())
    assert len(seen) == 8


def test_an_image_smaller_than_a_crop_is_named() -> None:
    with pytest.raises(DataError, match="image 0: is 40x20, smaller than crops of 24; lower size"):
        TrainCrops(pictures(height=20), Preprocess(), CROPS, 0, scale=4).batch([0])


def test_an_epoch_has_so_many_crops_of_each_image() -> None:
    batches = list(train_image_batches(model("images", 4), pictures(), CROPS, epoch=0))
    assert items(model("images", 4), pictures(), CROPS) == 12
    shown = [i for batch in batches for i in batch.indices]
    assert sorted(shown) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert batches[0].inputs.shape == (2, 3, 6, 6)


def domains() -> Any:
    return single_labels(stack(7), ("A", "B"), np.array([0, 1, 0, 0, 1, 1, 1]), "stack", ProblemLog())


def test_images_of_a_come_with_random_ones_of_b() -> None:
    source, recipe = domains(), STRETCH.replace(flip=0, crop_share=1.0, batch_size=4)
    assert [list(part) for part in members(source)] == [[0, 2, 3], [1, 4, 5, 6]]
    assert items(model("image domains"), source, recipe) == 4
    plain = {i: resized(source.image(i)) for i in range(7)}
    partners = set()
    for epoch in range(6):
        maker = TrainDomains(source, Preprocess(), recipe, epoch, members(source))
        batch = maker.batch([0, 1, 2, 3])
        assert batch.indices == [0, 2, 3, 0]  # the smaller domain begins anew
        for own, image, other in zip(batch.indices, batch.inputs, batch.targets.images, strict=True):
            assert torch.equal(image, plain[own])
            partners.add((own, next(i for i in (1, 4, 5, 6) if torch.equal(other, plain[i]))))
    assert len(partners) > 6


def resized(image: np.ndarray) -> torch.Tensor:
    from baimu.datasets.transforms import resize_image

    return torch.from_numpy(resize_image(image, (16, 16)).copy()).permute(2, 0, 1)


def test_held_out_images_come_without_chance() -> None:
    for learns_from, source in (("image pairs", grey_pairs()), ("image domains", domains())):
        one, two = (list(eval_image_batches(model(learns_from), source, [[0, 1], [2]])) for _ in range(2))
        assert [len(batch) for batch in one] == [2, 1]
        assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(one, two, strict=True))
    (batch,) = eval_image_batches(model("images", 4, resize="none"), pictures(height=31, width=42), [[1]])
    assert batch.targets.images.shape == (1, 3, 28, 40)
    assert batch.inputs.shape == (1, 3, 7, 10)


def test_resampling_rounds_to_eight_bits() -> None:
    image = np.full((8, 8, 3), 77, np.uint8)
    assert (resampled(image, (32, 32)) == 77).all()
    black_white = np.repeat(np.array([[0, 255] * 4] * 8, np.uint8)[..., None], 3, 2)
    assert resampled(black_white, (32, 32)).max() == 255  # overshoot is cut
