"""Batches are right, the same for any number of workers and ranks, and can be resumed in the middle of an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baimu.datasets.batches import steps_per_epoch
from baimu.datasets.formats.voc import read_voc
from baimu.datasets.loader import eval_batches, load_sample, train_batches
from baimu.datasets.playground import Playground
from baimu.errors import BaimuError, DataError, ImageError
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch
from tests.datasets.files import voc_object, write_image, write_voc

SMALL = Preprocess(size=64, max_size=96)
STRONG = Recipe(
    batch_size=4,
    workers=0,
    scale_jitter=(0.8, 1.25),
    crop=0.5,
    color_jitter=0.3,
    mosaic=0.4,
    mixup=0.3,
    vertical_flip=0.5,
)


@pytest.fixture(scope="module")
def scenes() -> Playground:
    return Playground(18, size=64)


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.indices == b.indices
        and torch.equal(a.inputs, b.inputs)
        and torch.equal(a.targets.boxes, b.targets.boxes)
        and torch.equal(a.targets.labels, b.targets.labels)
        for a, b in zip(first, second, strict=True)
    )


def test_a_training_batch(scenes: Playground) -> None:
    batches = train_batches(scenes, SMALL, STRONG, epoch=0, masks=True)
    assert len(batches) == 4  # 18 images are four whole batches of four
    seen = []
    for batch in batches:
        assert batch.inputs.dtype == torch.uint8
        assert batch.inputs.shape[:2] == (4, 3)
        assert batch.inputs.shape[2] % 32 == batch.inputs.shape[3] % 32 == 0
        assert batch.inputs.is_contiguous()
        assert batch.names == [scenes.name(i) for i in batch.indices]
        for i, (height, width) in enumerate(batch.targets.sizes.tolist()):
            assert batch.inputs[i, :, height:].sum() == batch.inputs[i, :, :, width:].sum() == 0
            boxes = batch.targets.boxes[i][batch.targets.valid[i]]
            assert (boxes <= torch.tensor([width, height] * 2)).all()
            assert batch.targets.masks is not None
            assert batch.targets.masks[i].shape == (len(boxes), *batch.inputs.shape[2:])
        seen += batch.indices
    assert len(set(seen)) == 16


def test_workers_do_not_matter(scenes: Playground) -> None:
    runs = [list(train_batches(scenes, SMALL, STRONG.replace(workers=n), epoch=2)) for n in (0, 1, 2)]
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])
    runs = [list(eval_batches(scenes, SMALL, 5, workers=n)) for n in (0, 2)]
    assert same(*runs)


def test_seed_and_epoch_matter(scenes: Playground) -> None:
    def run(epoch: int, seed: int) -> list[Batch]:
        return list(train_batches(scenes, SMALL, STRONG.replace(seed=seed), epoch=epoch))

    assert same(run(1, -5), run(1, -5))
    for epoch, seed in ((2, -5), (1, 5)):
        assert not same(run(1, -5), run(epoch, seed))


def test_every_epoch_has_its_own_order_and_its_own_batches(scenes: Playground) -> None:
    """Not augmentation alone: who comes when, and with whom, and which images the last, cut batch leaves out."""
    recipe = Recipe(batch_size=4, workers=0)
    orders = [[batch.indices for batch in train_batches(scenes, SMALL, recipe, epoch=epoch)] for epoch in range(6)]
    assert len({str(order) for order in orders}) == 6
    assert len({frozenset(batch) for order in orders for batch in order}) > 20
    assert {i for order in orders for batch in order for i in batch} == set(range(18))
    assert orders[0] != [sorted(batch) for batch in orders[0]]


def test_a_resumed_epoch_goes_on_where_it_stopped_without_reading_what_is_done(scenes: Playground) -> None:
    whole = list(train_batches(scenes, SMALL, STRONG, epoch=1))
    asked = []

    class Watched(Playground):
        def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
            asked.append(index)
            return super().image(index, at_least=at_least)

    recipe = STRONG.replace(mosaic=0, mixup=0)
    rest = list(train_batches(Watched(18, size=64), SMALL, recipe, epoch=1, skip=3))
    assert asked == whole[3].indices == rest[0].indices
    assert same(list(train_batches(scenes, SMALL, STRONG, epoch=1, skip=3)), whole[3:])
    assert len(train_batches(scenes, SMALL, STRONG, epoch=1, skip=4)) == 0
    assert list(train_batches(scenes, SMALL, STRONG, epoch=1, skip=4)) == []


def test_ranks_and_accumulation_share_the_same_step(scenes: Playground) -> None:
    """Two processes with two parts each see, step by step, the images of one process with the whole batch."""
    whole = [set(b.indices) for b in train_batches(scenes, SMALL, STRONG, epoch=0)]
    recipe = STRONG.replace(accumulate=2)
    parts = [list(train_batches(scenes, SMALL, recipe, epoch=0, rank=rank, world=2)) for rank in range(2)]
    assert [len(p) for p in parts] == [8, 8]
    assert all(len(batch) == 1 for part in parts for batch in part)
    steps = [{i for part in parts for batch in part[2 * s : 2 * s + 2] for i in batch.indices} for s in range(4)]
    assert steps == whole


def test_batches_that_do_not_divide_are_refused(scenes: Playground) -> None:
    for recipe, world in ((STRONG.replace(batch_size=6), 4), (STRONG.replace(accumulate=3), 1), (STRONG, 8)):
        with pytest.raises(BaimuError, match="must be a multiple of"):
            train_batches(scenes, SMALL, recipe, epoch=0, world=world)


def test_a_small_set_is_repeated_to_one_batch() -> None:
    tiny = Playground(3, size=32)
    recipe = STRONG.replace(batch_size=8)
    assert steps_per_epoch(3, recipe) == 1
    (batch,) = train_batches(tiny, SMALL, recipe, epoch=0)
    assert len(batch) == 8
    assert set(batch.indices) == {0, 1, 2}
    assert [steps_per_epoch(n, recipe) for n in (8, 15, 16)] == [1, 1, 2]
    with pytest.raises(DataError, match="no image"):
        train_batches(tiny.select([]), SMALL, recipe, epoch=0)


def test_evaluation_keeps_order_and_frames_lead_back(scenes: Playground) -> None:
    batches = list(eval_batches(scenes, SMALL, 4))
    assert [b.indices for b in batches] == [[*range(i, min(i + 4, 18))] for i in range(0, 18, 4)]
    for batch in batches:
        for i, index in enumerate(batch.indices):
            expected = scenes.objects(index)
            found = batch.frames[i].to_source(batch.targets.boxes[i][batch.targets.valid[i]].numpy())
            np.testing.assert_allclose(found, expected.boxes[~expected.crowd], atol=1e-3)
    ranks = [[i for b in eval_batches(scenes, SMALL, 4, rank=r, world=4) for i in b.indices] for r in range(4)]
    assert ranks == [[*range(r, 18, 4)] for r in range(4)]
    assert list(eval_batches(scenes.select([]), SMALL, 4, workers=2)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_stops_with_its_name(tmp_path: Path, workers: int) -> None:
    for i in range(4):
        write_voc(tmp_path, f"{i}", [voc_object("cat", (1, 1, 9, 9))])
    source = read_voc(tmp_path)
    file = tmp_path / "JPEGImages" / "2.jpg"
    file.write_bytes(file.read_bytes()[:900])
    recipe = Recipe(batch_size=2, workers=workers)
    for batches in (train_batches(source, SMALL, recipe, epoch=0), eval_batches(source, SMALL, 2, workers=workers)):
        with pytest.raises(ImageError) as caught:
            list(batches)
        assert str(caught.value).startswith(str(file))
        assert "truncated" in str(caught.value)
        assert "Traceback" not in str(caught.value)


def test_global_generators_are_left_alone(scenes: Playground) -> None:
    torch.manual_seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(train_batches(scenes, SMALL, STRONG, epoch=0))
    list(train_batches(scenes, SMALL, STRONG.replace(workers=1), epoch=0))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_crowd_objects_do_not_train(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 9, 9)), voc_object("dog", (1, 1, 30, 30), difficult=1)])
    (batch,) = eval_batches(read_voc(tmp_path), SMALL, 1)
    assert batch.targets.labels.tolist() == [[0]]


def test_boxes_follow_a_reduced_jpeg_exactly(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (9, 17, 40, 80))], size=(401, 603))
    sample = load_sample(read_voc(tmp_path), 0, at_least=100)
    assert sample.size == (101, 151)
    np.testing.assert_array_equal(sample.boxes, np.float32([[8, 16, 40, 80]]) / 4)


def test_large_jpegs_are_read_reduced_but_never_too_small(tmp_path: Path) -> None:
    write_voc(tmp_path, "a", [voc_object("cat", (1, 1, 640, 480))], size=(480, 640))
    write_image(tmp_path / "JPEGImages" / "a.jpg", (480, 640))
    source = read_voc(tmp_path)
    asked = []

    class Watched:
        def __getattr__(self, name: str):
            return getattr(source, name)

        def __len__(self) -> int:
            return len(source)

        def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
            asked.append((at_least, source.image(index, at_least=at_least).shape[0]))
            return source.image(index, at_least=at_least)

    recipe = Recipe(batch_size=1, workers=0, flip=0)
    for change in ({}, {"scale_jitter": (0.5, 1.9)}, {"crop": 0.1}):
        list(train_batches(Watched(), SMALL, recipe.replace(**change), epoch=0))  # pyright: ignore[reportArgumentType]
    list(eval_batches(Watched(), SMALL, 1))  # pyright: ignore[reportArgumentType]
    assert asked == [(64, 120), (122, 240), (107, 120), (None, 480)]
