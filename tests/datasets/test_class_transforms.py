"""Pictures with labels: what evaluation sees is torchvision's, what is random keeps its bounds and its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from baimu.datasets.class_transforms import augment_picture, auto_augment, erased, mix, random_window, shifted
from baimu.datasets.transforms import to_input
from baimu.preprocess import Preprocess
from baimu.recipes import imagenet_90

PLAIN = imagenet_90.replace(flip=0.0, crop_area=(1.0, 1.0))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [(300, 500), (333, 250), (57, 201), (28, 28)])
@pytest.mark.parametrize(
    ("side", "share", "interpolation"),
    [(224, 0.875, "bilinear"), (224, 224 / 232, "bilinear"), (299, 0.875, "bicubic"), (64, 1.0, "bicubic")],
)
def test_the_middle_is_torchvisions_to_the_pixel(
    size: tuple[int, int], side: int, share: float, interpolation: str
) -> None:
    image = noise(*size)
    preprocess = Preprocess(resize="crop", size=side, crop_share=share, interpolation=interpolation)  # pyright: ignore[reportArgumentType]
    ours, frame = to_input(image, preprocess)
    mode = v2.InterpolationMode(interpolation)
    expected = v2.CenterCrop(side)(v2.Resize(int(side / share + 1e-6), mode)(Image.fromarray(image)))
    np.testing.assert_array_equal(ours, np.asarray(expected))
    corner = frame.to_source(np.array([[0, 0, side, side]], np.float32))[0]
    middle = (corner[:2] + corner[2:]) / 2
    np.testing.assert_allclose(middle, [size[1] / 2, size[0] / 2], atol=1 / min(frame.scale_x, frame.scale_y))


def test_without_chance_training_sees_what_evaluation_sees() -> None:
    image = noise(40, 50)
    for resize in ("crop", "stretch", "none"):
        preprocess = Preprocess(resize=resize, size=32)
        seen = augment_picture(lambda _: image, (40, 50), preprocess, PLAIN, rng())
        np.testing.assert_array_equal(seen, to_input(image, preprocess)[0])


def test_windows_keep_their_area_and_ratio() -> None:
    generator, areas = rng(), []
    for _ in range(2000):
        top, left, height, width = random_window((120, 160), (0.08, 1.0), (3 / 4, 4 / 3), generator)
        assert 0 <= top <= 120 - height
        assert 0 <= left <= 160 - width
        assert 3 / 4 * 0.97 <= width / height <= 4 / 3 * 1.03
        areas.append(height * width / (120 * 160))
    assert min(areas) < 0.1
    assert max(areas) > 0.9
    assert min(areas) > 0.07
    # Where nothing of the ratio fits: the whole shorter side, in the middle.
    assert random_window((10, 1000), (0.9, 1.0), (3 / 4, 4 / 3), generator) == (0, 493, 10, 13)
    assert random_window((1000, 10), (0.9, 1.0), (3 / 4, 4 / 3), generator) == (493, 0, 13, 10)


def test_a_crop_is_the_window_resized_and_asks_for_no_more_pixels_than_it_needs() -> None:
    image, asked = noise(200, 300), []

    def load(at_least: int | None) -> np.ndarray:
        asked.append(at_least)
        return image

    recipe = PLAIN.replace(crop_area=(0.08, 0.5))
    preprocess = Preprocess(resize="crop", size=24)
    seen = augment_picture(load, (200, 300), preprocess, recipe, rng(3))
    top, left, height, width = random_window((200, 300), (0.08, 0.5), recipe.crop_ratio, rng(3))
    expected = v2.functional.resized_crop(Image.fromarray(image), top, left, height, width, [24, 24])
    np.testing.assert_array_equal(seen, np.asarray(expected))
    assert asked == [int(np.ceil(200 * 24 / min(height, width)))]


def test_a_reduced_jpeg_gives_the_same_window() -> None:
    """Smooth pixels, so that reducing twice is reducing once."""
    y, x = np.mgrid[:160, :240]
    image = np.stack([y, x, x // 2 + y // 2], 2).astype(np.uint8)
    half = np.asarray(Image.fromarray(image).resize((120, 80), Image.Resampling.BOX))
    recipe, preprocess = PLAIN.replace(crop_area=(0.3, 0.9)), Preprocess(resize="crop", size=16)
    for seed in range(10):
        whole, reduced = (
            augment_picture(lambda _, i=i: i, (160, 240), preprocess, recipe, rng(seed)) for i in (image, half)
        )
        assert np.abs(whole.astype(int) - reduced).max() <= 3


def test_shifting_moves_by_whole_pixels() -> None:
    image = noise(9, 11)
    seen = {shifted(image, 2, rng(seed)).tobytes() for seed in range(300)}
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    assert seen == {padded[y : y + 9, x : x + 11].tobytes() for y in range(5) for x in range(5)}


def test_erasing_fills_one_box_of_its_bounds() -> None:
    shares = []
    for seed in range(300):
        out = erased(np.full((40, 60, 3), 9, np.uint8), (1.2, 2.0, 3.6), rng(seed))
        rows, columns = np.nonzero((out != 9).any(2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height * width == len(rows)
        assert (out[rows, columns] == [1, 2, 4]).all()
        assert 0.25 < height / width < 4
        shares.append(height * width / 2400)
    assert min(shares) >= 0.015
    assert max(shares) <= 0.35
    assert np.ptp(shares) > 0.25


@pytest.mark.parametrize("kind", ["rand", "trivial"])
def test_auto_augment_is_torchvisions_under_our_seed(kind: str) -> None:
    recipe = PLAIN.replace(auto_augment=kind, augment_ops=3, augment_magnitude=12)
    image = noise(20, 30)
    state = torch.get_rng_state()
    found = [auto_augment(image, recipe, rng(seed)) for seed in range(20)]
    assert torch.equal(torch.get_rng_state(), state)
    assert len({f.tobytes() for f in found}) > 10
    torch.manual_seed(int(rng(7).integers(2**63)))
    theirs = v2.TrivialAugmentWide() if kind == "trivial" else v2.RandAugment(3, 12)
    np.testing.assert_array_equal(found[7], np.asarray(theirs(Image.fromarray(image))))
    np.testing.assert_array_equal(found[7], auto_augment(image, recipe, rng(7)))


def one_hot(labels: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[labels]


def test_mixup_blends_images_and_shares_alike() -> None:
    images = np.stack([np.full((3, 4, 4), value, np.uint8) for value in (0, 100, 200)])
    for seed in range(20):
        mixed, shares = mix(images, one_hot([0, 1, 2]), PLAIN.replace(mixup_alpha=0.4), rng(seed))
        share = shares[0, 0]
        np.testing.assert_allclose(shares, [[share, 0, 1 - share], [1 - share, share, 0], [0, 1 - share, share]])
        expected = np.array([200 * (1 - share), 100 * share, 200 * share + 100 * (1 - share)])
        np.testing.assert_allclose(mixed[:, 0, 0, 0], expected, atol=0.51)
        assert (mixed == mixed[:, :1, :1, :1]).all()


def test_mixups_share_is_beta() -> None:
    shares = [
        mix(np.zeros((2, 3, 1, 1), np.uint8), one_hot([0, 1]), PLAIN.replace(mixup_alpha=0.2), generator)[1][0, 0]
        for generator in [rng(1)]
        for _ in range(4000)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(0.25 / 1.4, abs=0.01)  # of Beta(a, a): 1 / (4 (2a + 1))


def test_cutmix_pastes_a_box_and_counts_its_pixels() -> None:
    images = np.stack([np.full((3, 20, 30), value, np.uint8) for value in (1, 2)])
    areas = []
    for seed in range(50):
        mixed, shares = mix(images, one_hot([0, 2]), PLAIN.replace(cutmix_alpha=1.0), rng(seed))
        pasted = mixed[0, 0] == 2
        rows, columns = np.nonzero(pasted)
        assert len(rows) == 0 or len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        np.testing.assert_allclose(shares[0], [1 - pasted.mean(), 0, pasted.mean()], atol=1e-6)
        np.testing.assert_array_equal(mixed[1, 0] == 1, pasted)
        areas.append(pasted.mean())
    assert np.ptp(areas) > 0.5


def test_with_both_either_is_as_likely_and_the_unknown_stays_unknown() -> None:
    images = np.stack([np.full((3, 8, 8), value, np.uint8) for value in (0, 255)])
    shares = np.array([[1, -1, 0], [0, 0, 1]], np.float32)
    recipe = PLAIN.replace(mixup_alpha=1.0, cutmix_alpha=1.0)
    pasted = 0
    for seed in range(200):
        mixed, mixture = mix(images, shares, recipe, rng(seed))
        assert (mixture[:, 1] == -1).all()
        np.testing.assert_allclose(mixture[:, [0, 2]].sum(1), 1, atol=1e-6)
        pasted += set(np.unique(mixed)) <= {0, 255}
    assert 70 < pasted < 130
