"""Packed masks: text and pixels equal pycocotools', windows and polygons give the mask again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from baimu.datasets.outlines import polygon_to_mask
from baimu.masks import Masks, decode_runs, encode_runs, mask_to_polygons, runs_to_mask


def text_of(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def random_masks(seed: int, largest: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count, height, width = rng.integers(0, 4), *rng.integers(1, largest, 2)
    return rng.random((count, height, width)) < rng.choice([0.0, 0.03, 0.5, 0.8, 1.0])


@pytest.mark.parametrize("part", range(4))
def test_text_and_pixels_equal_pycocotools(part: int) -> None:
    for seed in range(part * 60, part * 60 + 60):
        masks = random_masks(seed)
        packed = Masks.of(masks)
        assert list(packed.counts) == [text_of(mask) for mask in masks]
        np.testing.assert_array_equal(np.asarray(packed), masks)
        np.testing.assert_array_equal(packed.areas, masks.sum((1, 2)))
        for mask, text in zip(masks, packed.counts, strict=True):
            np.testing.assert_array_equal(runs_to_mask(decode_runs(text), mask.shape), mask)


def test_large_runs_need_several_groups_of_bits() -> None:
    masks = np.zeros((2, 3000, 2000), bool)
    masks[0, 17:, 900:] = True
    masks[1, -1, -1] = True
    assert list(Masks.of(masks).counts) == [text_of(mask) for mask in masks]
    np.testing.assert_array_equal(np.asarray(Masks.of(masks)), masks)


def test_runs_at_the_limits_of_a_group_come_back() -> None:
    steps = [0, 1, 15, 16, 17, 511, 512, 513, 16383, 16384, 2**24, 2**31]
    runs = np.array([*steps, *steps[::-1]])
    assert encode_runs(np.tile(runs, 2), np.array([24, 24])) == encode_runs(runs, np.array([24])) * 2
    np.testing.assert_array_equal(decode_runs(encode_runs(runs, np.array([24]))[0]), runs)


@pytest.mark.parametrize("text", ["", "\x20", "o", "oooooooooo0"])
def test_damaged_run_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="compressed text"):
        decode_runs(text)


def test_it_is_a_sequence_of_arrays() -> None:
    dense = np.random.default_rng(0).random((5, 7, 9)) < 0.4
    masks = Masks.of(dense)
    assert (len(masks), masks.shape) == (5, (5, 7, 9))
    np.testing.assert_array_equal(masks[-2], dense[3])
    np.testing.assert_array_equal(np.stack(list(masks)), dense)
    for keep in ([3, 0], slice(1, 4), dense[:, 0, 0], np.array([], int)):
        np.testing.assert_array_equal(np.asarray(masks[keep]), dense[keep])
    assert np.asarray(masks, np.float32).dtype == np.float32
    with pytest.raises(IndexError):
        masks[5]
    with pytest.raises(ValueError, match=r"\(N, H, W\), got \(7, 9\)"):
        Masks.of(dense[0])


def test_numbers_are_read_as_true_and_false() -> None:
    np.testing.assert_array_equal(np.asarray(Masks.of(np.array([[[0, 1], [255, 0]]], np.uint8)))[0], [[0, 1], [1, 0]])


@pytest.mark.parametrize("seed", range(40))
def test_the_window_is_the_smallest_that_holds_the_mask(seed: int) -> None:
    masks = random_masks(seed, largest=12)
    packed = Masks.of(masks)
    for i, mask in enumerate(masks):
        rows, columns, window = packed.window(i)
        again = np.zeros_like(mask)
        again[rows, columns] = window
        np.testing.assert_array_equal(again, mask)
        if mask.any():
            assert window.any(0)[[0, -1]].all()
            assert window.any(1)[[0, -1]].all()
        else:
            assert window.size == 0


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.sampled_from([4, 9, 40]))
def test_polygons_give_the_mask_again(seed: int, largest: int) -> None:
    """Parts that touch by a corner, holes, holes in parts in holes, the picture's edge: filled by COCO's rule."""
    masks = random_masks(seed, largest)
    for mask, polygons in zip(masks, Masks.of(masks).to_polygons(), strict=True):
        filled = np.zeros_like(mask)
        for polygon in polygons:
            part = polygon_to_mask(polygon.ravel(), mask.shape)
            assert not (part & filled).any()
            filled |= part
        np.testing.assert_array_equal(filled, mask)


def test_polygons_have_corners_only() -> None:
    mask = np.zeros((9, 9), bool)
    mask[1:4, 2:8] = True
    (square,) = mask_to_polygons(mask)
    assert sorted(map(tuple, square.tolist())) == [(2, 1), (2, 4), (8, 1), (8, 4)]
    mask[2, 4] = False
    (ring,) = mask_to_polygons(mask)
    assert len(ring) <= 4 + 4 + 3  # the cut begins, meets the hole's corner twice, and ends
    mask[8, 8] = mask[4, 1] = True  # apart, and touching by a corner
    assert len(mask_to_polygons(mask)) == 3
    assert mask_to_polygons(np.zeros((3, 0), bool)) == []
