"""Pixels, boxes and masks move together, equal to torchvision's v2 transforms where those exist."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from baimu.datasets import transforms as T
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe


def rectangles(count: int = 5, size: tuple[int, int] = (60, 90), seed: int = 0) -> T.Sample:
    """Bright rectangles of whole pixels on a dark ground, their boxes and masks; later ones lie on top."""
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 20, np.uint8)
    masks = np.zeros((count, *size), bool)
    boxes = np.zeros((count, 4), np.float32)
    for i in range(count):
        y, x = (int(rng.integers(0, side - 20)) for side in size)
        h, w = rng.integers(8, 20, 2).tolist()
        image[y : y + h, x : x + w] = 100 + 25 * i
        masks[:, y : y + h, x : x + w] = False
        masks[i, y : y + h, x : x + w] = True
        boxes[i] = x, y, x + w, y + h
    return T.Sample(image, boxes, np.arange(count, dtype=np.int64), masks)


def one(size: tuple[int, int] = (60, 90), box: tuple[int, int, int, int] = (10, 20, 40, 50)) -> T.Sample:
    x1, y1, x2, y2 = box
    image = np.zeros((*size, 3), np.uint8)
    image[y1:y2, x1:x2] = 200
    return T.Sample(image, np.float32([box]), np.array([3]), image[None, :, :, 0] > 0)


def tensors(sample: T.Sample) -> tuple[tv_tensors.Image, tv_tensors.BoundingBoxes, tv_tensors.Mask]:
    boxes = tv_tensors.BoundingBoxes(torch.from_numpy(sample.boxes), format="XYXY", canvas_size=sample.size)
    assert sample.masks is not None
    return tv_tensors.Image(torch.from_numpy(sample.image).permute(2, 0, 1)), boxes, tv_tensors.Mask(sample.masks)


def assert_object_fills_its_box(sample: T.Sample) -> None:
    """For :func:`one` after any move: the bright pixels, the mask and the box are the same place, within a pixel."""
    assert sample.masks is not None
    for mask in (sample.image[..., 0] > 100, sample.masks[0]):
        y, x = np.nonzero(mask)
        np.testing.assert_allclose([x.min(), y.min(), x.max() + 1, y.max() + 1], sample.boxes[0], atol=1.01)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(T.flip, F.horizontal_flip), (T.flip_vertical, F.vertical_flip)], ids=["left-right", "up-down"]
)
def test_flips_equal_torchvision(ours, theirs) -> None:
    sample = rectangles()
    image, boxes, masks = (theirs(value) for value in tensors(sample))
    found = ours(sample)
    np.testing.assert_array_equal(found.image, image.permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(found.boxes, boxes.numpy())
    np.testing.assert_array_equal(found.masks, masks.numpy())
    again = ours(found)
    np.testing.assert_array_equal(again.image, sample.image)
    np.testing.assert_array_equal(again.boxes, sample.boxes)


@pytest.mark.parametrize("size", [(30, 45), (61, 77), (120, 90), (60, 90), (1, 1)])
def test_resize_equals_torchvision(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    sample = replace(rectangles(), image=rng.integers(0, 256, (60, 90, 3), np.uint8))
    image, boxes, masks = (F.resize(value, list(size), antialias=True) for value in tensors(sample))
    found = T.resize(sample, size)
    assert np.abs(found.image.astype(int) - image.permute(1, 2, 0).numpy()).max() <= 1
    np.testing.assert_allclose(found.boxes, boxes.numpy(), rtol=1e-5)
    exact = F.resize(tensors(sample)[2], list(size), interpolation=v2.InterpolationMode.NEAREST_EXACT)
    np.testing.assert_array_equal(found.masks, exact.numpy())
    assert masks.shape == found.masks.shape


def test_crop_equals_torchvision_for_what_stays() -> None:
    sample = rectangles()
    image, boxes, masks = (F.crop(value, 12, 20, 40, 50) for value in tensors(sample))
    found = T.crop(sample, 12, 20, 40, 50)
    np.testing.assert_array_equal(found.image, image.permute(1, 2, 0).numpy())
    kept = found.labels  # labels of this sample are positions
    assert 0 < len(kept) < len(sample.boxes)
    np.testing.assert_array_equal(T.crop(replace(sample, masks=None), 12, 20, 40, 50).boxes, boxes.numpy()[kept])
    np.testing.assert_array_equal(found.masks, masks.numpy()[kept])
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes.numpy(), sample.boxes)]
    np.testing.assert_array_equal(np.flatnonzero(areas[0] >= T.MIN_VISIBLE * areas[1]), kept)


def test_the_box_of_a_cut_object_is_around_what_is_left_of_its_mask() -> None:
    """A diagonal from the upper left to the lower right: the window's lower half holds its right half only."""
    masks = np.eye(40, dtype=bool)[None]
    sample = T.Sample(np.zeros((40, 40, 3), np.uint8), np.float32([[0, 0, 40, 40]]), np.array([0]), masks)
    lower = T.crop(sample, 20, 0, 20, 40)
    assert lower.boxes.tolist() == [[20, 0, 40, 20]]
    assert T.crop(replace(sample, masks=None), 20, 0, 20, 40).boxes.tolist() == [[0, 0, 40, 20]]
    assert len(T.crop(sample, 0, 20, 20, 20).boxes) == 0  # a quarter of the box, but nothing of the object
    assert len(T.crop(replace(sample, masks=None), 0, 20, 20, 20).boxes) == 1
    slack = replace(sample, boxes=np.float32([[0.3, 0.2, 39.6, 39.9]]))
    np.testing.assert_array_equal(T.crop(slack, 0, 0, 40, 40).boxes, slack.boxes)  # not cut: as annotated


def test_crop_drops_what_is_hardly_visible() -> None:
    sample = one(box=(10, 20, 40, 50))
    assert len(T.crop(sample, 0, 32, 60, 58).boxes) == 1  # 8 of 30 columns are left
    assert len(T.crop(sample, 0, 33, 60, 57).boxes) == 0
    assert T.crop(sample, 0, 33, 60, 57).masks.shape == (0, 60, 57)


@pytest.mark.parametrize("mode", ["shortest", "letterbox", "stretch", "none"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_fit_keeps_boxes_on_objects_and_within_the_frame(mode, factor: float) -> None:
    preprocess = Preprocess(resize=mode, size=48, max_size=64)
    sample = T.fit(one(), preprocess, factor, np.random.default_rng(5))
    if len(sample.boxes):
        assert_object_fills_its_box(sample)
    expected = preprocess.frame(60, 90).size
    if factor == 1:
        assert sample.size == expected
    if mode in ("letterbox", "stretch"):
        assert max(sample.size) <= 48
    else:
        np.testing.assert_allclose(sample.size, np.array(expected) * factor, atol=2)


def test_mosaic_covers_the_canvas_with_all_four() -> None:
    samples = [
        replace(rectangles(seed=i), labels=np.full(5, i), image=np.full((60, 90, 3), 50 * i + 20, np.uint8))
        for i in range(4)
    ]
    for seed in range(10):
        found = T.mosaic(samples, (64, 80), np.random.default_rng(seed))
        assert found.size == (64, 80)
        corners = found.image[[0, 0, -1, -1], [0, -1, 0, -1], 0].tolist()
        assert corners == [20, 70, 120, 170]
        assert set(np.unique(found.image)) == set(corners)
        middle_x = int((found.image[0, :, 0] == 20).sum())
        middle_y = int((found.image[:, 0, 0] == 20).sum())
        for box, label in zip(found.boxes, found.labels, strict=True):
            left, top = (middle_x if label % 2 else 0), (middle_y if label > 1 else 0)
            right, bottom = (80 if label % 2 else middle_x), (64 if label > 1 else middle_y)
            assert left <= box[0] < box[2] <= right
            assert top <= box[1] < box[3] <= bottom


def test_mosaic_boxes_stay_on_their_objects() -> None:
    found = T.mosaic([one() for _ in range(4)], (64, 80), np.random.default_rng(1))
    assert found.masks is not None
    assert len(found.boxes) >= 2
    for i in range(len(found.boxes)):
        y, x = np.nonzero(found.masks[i])
        np.testing.assert_allclose([x.min(), y.min(), x.max() + 1, y.max() + 1], found.boxes[i], atol=1.01)
        assert found.image[found.masks[i]].mean() > 180


def test_mosaic_of_one_pixel_pictures() -> None:
    tiny = T.Sample(np.zeros((1, 1, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert T.mosaic([tiny] * 4, (2, 3), np.random.default_rng(0)).size == (2, 3)


def test_mixup_blends_and_keeps_the_objects_of_both() -> None:
    first, second = one(), one((40, 120), (60, 5, 110, 30))
    found = T.mixup(first, second, np.random.default_rng(0))
    assert found.size == (60, 90)
    assert found.labels.tolist() == [3, 3]
    np.testing.assert_array_equal(found.boxes, [[10, 20, 40, 50], [60, 5, 90, 30]])
    assert found.masks is not None
    assert found.masks.shape == (2, 60, 90)
    assert 70 < found.image[10, 70, 0] < 130  # about half of the second's 200
    assert found.image[45, 20, 0] == 200  # below the second picture nothing is blended
    assert found.image[0, 0, 0] == 0
    np.testing.assert_array_equal(T.mixup(first, first, np.random.default_rng(0)).image, first.image)


RECIPES = {
    "plain": Recipe(flip=0),
    "flips": Recipe(flip=1, vertical_flip=1),
    "all": Recipe(
        flip=0.5, vertical_flip=0.5, scale_jitter=(0.5, 1.5), crop=1, color_jitter=0.2, mosaic=0.5, mixup=0.5
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("mode", ["shortest", "letterbox", "stretch", "none"])
def test_augmented_samples_are_well_formed(recipe: Recipe, mode) -> None:
    samples = [rectangles(0), rectangles(1, (30, 200)), rectangles(6, (200, 21)), rectangles()]
    preprocess = Preprocess(resize=mode, size=64, max_size=100)
    for index in range(4):
        for seed in range(8):
            found = T.augment(samples.__getitem__, index, 4, preprocess, recipe, np.random.default_rng(seed))
            assert found.image.dtype == np.uint8
            assert found.image.shape == (*found.size, 3)
            assert found.boxes.dtype == np.float32
            assert found.masks is not None
            assert found.masks.shape == (len(found.boxes), *found.size)
            assert len(found.labels) == len(found.boxes)
            assert (found.boxes >= 0).all()
            assert (found.boxes <= np.tile(found.size[::-1], 2)).all()
            assert (found.boxes[:, 2:] - found.boxes[:, :2] >= 1).all()
            for box, mask in zip(found.boxes, found.masks, strict=True):  # a mask lies in its box
                y, x = np.nonzero(mask)
                if len(x):
                    inside = np.array([x.min() - box[0], y.min() - box[1], box[2] - x.max() - 1, box[3] - y.max() - 1])
                    assert (inside > -1.01).all()


def test_augmentation_off_is_the_plain_resize_and_seeds_decide_the_rest() -> None:
    sample, preprocess = rectangles(), Preprocess(size=48, max_size=64)
    plain = T.augment(lambda _: sample, 0, 1, preprocess, RECIPES["plain"], np.random.default_rng(0))
    np.testing.assert_array_equal(plain.image, T.resize(sample, preprocess.frame(60, 90).size).image)
    runs = [T.augment(lambda _: sample, 0, 1, preprocess, RECIPES["all"], np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].image, runs[1].image)
    assert runs[0].size != runs[2].size or not np.array_equal(runs[0].image, runs[2].image)


def test_closing_switches_mosaic_and_mixup_off() -> None:
    asked = []

    def load(index: int) -> T.Sample:
        asked.append(index)
        return rectangles()

    recipe = Recipe(mosaic=1, mixup=1, flip=0)
    T.augment(load, 2, 9, Preprocess(size=48), recipe, np.random.default_rng(0))
    assert len(asked) == 8
    asked.clear()
    T.augment(load, 2, 9, Preprocess(size=48), recipe, np.random.default_rng(0), strong=False)
    assert asked == [2]


def test_torchvision_transforms_take_part() -> None:
    sample = rectangles()
    flipped = T.from_torchvision(v2.RandomHorizontalFlip(1))(sample, np.random.default_rng(0))
    expected = T.flip(sample)
    np.testing.assert_array_equal(flipped.image, expected.image)
    np.testing.assert_array_equal(flipped.boxes, expected.boxes)
    np.testing.assert_array_equal(flipped.masks, expected.masks)
    np.testing.assert_array_equal(flipped.labels, expected.labels)


def test_torchvision_transforms_are_seeded_and_leave_torch_alone() -> None:
    transform = T.from_torchvision(v2.Compose([v2.RandomCrop((30, 40)), v2.SanitizeBoundingBoxes()]))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    runs = [transform(rectangles(), np.random.default_rng(s)) for s in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(runs[0].image, runs[1].image)
    assert not np.array_equal(runs[0].image, runs[2].image)
    for run in runs:
        assert len(run.boxes) == len(run.labels) == len(run.masks)
        assert (run.boxes[:, 2:] > run.boxes[:, :2]).all()
        for box, label in zip(run.boxes, run.labels, strict=True):  # labels still belong to their boxes
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            assert run.image[y, x, 0] in (100 + 25 * label, *range(100 + 25 * label + 25, 226, 25))


def test_a_torchvision_transform_that_drops_boxes_alone_is_refused() -> None:
    transform = T.from_torchvision(v2.Compose([v2.CenterCrop((10, 10)), v2.SanitizeBoundingBoxes(labels_getter=None)]))
    with pytest.raises(ValueError, match="boxes but 5 labels"):
        transform(rectangles(), np.random.default_rng(0))


def test_a_torchvision_transform_that_normalises_is_refused() -> None:
    with pytest.raises(TypeError, match="must leave the picture uint8"):
        T.from_torchvision(v2.ToDtype(torch.float32, scale=True))(rectangles(), np.random.default_rng(0))
