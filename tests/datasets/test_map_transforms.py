"""Pictures and their label maps stay together, whatever is done to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baimu.datasets.color import photometric_distortion
from baimu.datasets.label_maps import SceneMaps
from baimu.datasets.map_batches import train_map_batches
from baimu.datasets.map_transforms import (
    MapSample,
    Window,
    augment_map,
    choose_window,
    cut,
    cut_labels,
    largest_share,
    resize_labels,
)
from baimu.datasets.playground import Playground
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe, cityscapes_40k

PREPROCESS = Preprocess(size=64, max_size=256, pad_to=1)
RECIPE = cityscapes_40k.replace(size=64, train_crop=(48, 80), batch_size=3, workers=0, photometric=0.0)


def sample(seed: int = 0, size: tuple[int, int] = (60, 90)) -> MapSample:
    """Large squares, whose grey is their label times 50: after any change of place pixels still say their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (size[0] // 15, size[1] // 15)).astype(np.uint8).repeat(15, 0).repeat(15, 1)
    return MapSample(labels[..., None].repeat(3, 2) * 50, labels)


@pytest.mark.parametrize("seed", range(8))
def test_pictures_and_labels_stay_together(seed: int) -> None:
    recipe = RECIPE.replace(vertical_flip=0.5, scale_jitter=(0.5, 2.0))
    found = augment_map(sample(seed), PREPROCESS, recipe, np.random.default_rng(seed))
    assert found.size[0] <= 48
    assert found.size[1] <= 80
    said = np.rint(found.image[..., 0] / 50).astype(np.uint8)
    assert (said == found.labels).mean() > 0.85  # the rest are interpolated borders


@pytest.mark.parametrize("size", [(30, 45), (60, 90), (61, 91), (120, 200)])
def test_labels_are_those_of_the_pixel_in_which_the_centre_lies(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (60, 90)).astype(np.uint8)
    found = resize_labels(labels, size)
    for y, x in ((0, 0), (3, 7), (size[0] - 1, size[1] - 1), (size[0] // 2, size[1] // 3)):
        assert found[y, x] == labels[int((y + 0.5) * 60 / size[0]), int((x + 0.5) * 90 / size[1])]


def test_a_window_of_a_scaled_picture_is_that_part_of_it() -> None:
    plain = sample()
    whole = cut(plain, Window((90, 135), 0, 0, 90, 135), PREPROCESS)
    part = cut(plain, Window((90, 135), 20, 31, 40, 50), PREPROCESS)
    np.testing.assert_array_equal(part.labels, whole.labels[20:60, 31:81])
    inside = part.image[2:-2, 2:-2].astype(int) - whole.image[22:58, 33:79]
    assert np.abs(inside).max() <= 2
    np.testing.assert_array_equal(cut_labels(plain.labels, Window((60, 90), 5, 6, 7, 8)), plain.labels[5:12, 6:14])


def test_a_window_with_too_much_of_one_class_is_drawn_anew() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[:, 60:] = 1
    plain = MapSample(np.zeros((100, 100, 3), np.uint8), labels)
    recipe = RECIPE.replace(scale_jitter=None, train_crop=(40, 40), crop_largest_share=0.75)
    preprocess = Preprocess(resize="none", pad_to=1)
    shares = []
    for seed in range(60):
        window = choose_window(plain, preprocess, recipe, np.random.default_rng(seed))
        shares.append(largest_share(cut_labels(labels, window)))
    free = [
        largest_share(cut_labels(labels, choose_window(plain, preprocess, recipe.replace(crop_largest_share=1.0), rng)))
        for rng in map(np.random.default_rng, range(60))
    ]
    assert np.mean(np.array(shares) < 0.75) > 0.9 > np.mean(np.array(free) < 0.75)
    assert largest_share(np.full((2, 2), 255, np.uint8)) == 1.0


def test_a_batch_is_padded_with_undecided_pixels_and_knows_its_sizes() -> None:
    scenes = SceneMaps(Playground(6, size=(40, 60)))
    small = RECIPE.replace(scale_jitter=(0.5, 1.0))
    batch = next(iter(train_map_batches(scenes, PREPROCESS.replace(size=40), small, epoch=0)))
    assert batch.inputs.shape == (3, 3, 48, 80)
    assert batch.targets.labels.dtype == torch.uint8
    for i, (height, width) in enumerate(batch.targets.sizes.tolist()):
        assert height <= 48
        assert width <= 80
        assert bool((batch.targets.labels[i, height:] == 255).all())
        assert bool((batch.targets.labels[i, :, width:] == 255).all())
        assert bool((batch.targets.labels[i, :height, :width] < 13).all())
        normal = PREPROCESS.normalize(batch.inputs, batch.targets.sizes)[i]
        assert not normal[:, height:].any()
    assert (batch.targets.sizes < torch.tensor([48, 80])).all(), "there is padding to look at"
    whole = next(iter(train_map_batches(scenes, PREPROCESS.replace(size=40), RECIPE.replace(train_crop=None), epoch=0)))
    assert [side % 32 for side in whole.inputs.shape[2:]] == [0, 0]


def test_a_sample_depends_on_its_place_alone() -> None:
    scenes = SceneMaps(Playground(7, size=64))
    recipe = RECIPE.replace(photometric=0.5, batch_size=2)

    def epoch(skip: int = 0, workers: int = 0) -> list[torch.Tensor]:
        made = train_map_batches(scenes, PREPROCESS, recipe.replace(workers=workers), epoch=3, skip=skip)
        return [batch.inputs for batch in made]

    first, again, late = epoch(), epoch(workers=1), epoch(skip=2)
    assert len(first) == 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(first[2], late[0])


def test_photometric_distortion_changes_half_of_the_time_and_keeps_the_scale() -> None:
    image = np.random.default_rng(0).integers(60, 160, (20, 24, 3), np.uint8)
    made = [photometric_distortion(image, 0.5, np.random.default_rng(seed)) for seed in range(64)]
    same = sum(np.array_equal(image, picture) for picture in made)
    assert 1 <= same <= 14  # of 64 about one in 16 draws none of the four
    means = np.array([picture.mean() for picture in made])
    assert 36 < means.min() < 75  # half of what is left of the mean less 32
    assert 145 < means.max() < 200
    assert all(np.array_equal(image, photometric_distortion(image, 0.0, np.random.default_rng(s))) for s in range(9))


def test_recipes_refuse_what_cannot_be() -> None:
    from baimu.errors import BaimuError

    with pytest.raises(BaimuError, match="crop_largest_share"):
        Recipe().replace(crop_largest_share=0)
